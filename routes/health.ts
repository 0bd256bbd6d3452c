/** `/health` for people, `/ready` for orchestrators, `/ping` for RunPod. */

import { type Health, healthSchema, statusSchema } from "./health_schema.ts";
import { ApiRoutes, defineRoute, jsonResponse } from "./openapi.ts";
import { headersOf } from "./response_headers.ts";
import type { WorkerStatus } from "./worker.ts";

const STATUS = { starting: "starting", ready: "ok", failed: "failed" } as const;

const tags = ["Worker"];

const getHealth = defineRoute({
  method: "get",
  path: "/health",
  operationId: "getHealth",
  tags,
  summary: "How the worker is",
  description: "For people: model, device, memory, store, and how far the model is loaded.",
  responses: {
    200: jsonResponse(healthSchema, "The model runs, or loads."),
    503: jsonResponse(healthSchema, "The model could not be loaded."),
  },
  errors: [],
});

const getReady = defineRoute({
  method: "get",
  path: "/ready",
  operationId: "getReady",
  tags,
  summary: "Whether the worker takes turns",
  description: "For orchestrators.",
  responses: {
    200: jsonResponse(statusSchema, "The model runs."),
    503: {
      ...jsonResponse(statusSchema, "The model loads, or could not be loaded."),
      headers: headersOf("retry-after"),
    },
  },
  errors: [],
});

const getPing = defineRoute({
  method: "get",
  path: "/ping",
  operationId: "getPing",
  tags,
  summary: "Whether the worker is well",
  description: "For RunPod, which takes 204 for a worker that starts.",
  responses: {
    200: jsonResponse(statusSchema, "The model runs."),
    204: { description: "The model loads." },
    503: jsonResponse(statusSchema, "The model could not be loaded."),
  },
  errors: [],
});

export function healthRoutes(worker: WorkerStatus): ApiRoutes {
  return new ApiRoutes()
    .serve(getHealth, (c) => c.json(health(worker), worker.state === "failed" ? 503 : 200))
    .serve(getReady, (c) => {
      const ready = worker.state === "ready";
      if (!ready) c.header("retry-after", "5");
      return c.json({ status: STATUS[worker.state] }, ready ? 200 : 503);
    })
    .serve(getPing, (c) => {
      if (worker.state === "starting") return c.body(null, 204);
      return c.json({ status: STATUS[worker.state] }, worker.state === "ready" ? 200 : 503);
    });
}

function health({ state, details }: WorkerStatus): Health {
  const { model, device, adapter, software, quant, loaded, memory, kv } = details;
  return {
    status: STATUS[state],
    model: model ?? null,
    device: device ?? null,
    adapter: adapter ?? null,
    software: software ?? null,
    quant: quant ?? null,
    loaded: loaded === undefined ? null : Math.floor(loaded * 1000) / 1000,
    memory: memory ? { ...memory, total: memory.weights + memory.states + memory.work } : null,
    kv: kv ?? null,
    warning: warning(details),
  };
}

function warning({ device, adapter, software }: WorkerStatus["details"]): string | null {
  if (device === "cpu") {
    return "No GPU adapter was found or wanted: the model runs on the CPU, and slowly";
  }
  if (software) {
    return `No GPU was found: the model runs on a software adapter (${adapter}), and slowly`;
  }
  return null;
}
