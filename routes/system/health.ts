/** `/health` for people, `/ready` for orchestrators, `/ping` for RunPod. */

import {
  type Health,
  healthSchema,
  type Readiness,
  readySchema,
  statusSchema,
} from "./health_schema.ts";
import { ApiRoutes, defineRoute, jsonResponse } from "../openapi/openapi.ts";
import { headerRefs } from "../openapi/response_headers.ts";
import type { StoreStatus, WorkerStatus } from "../worker.ts";

const STATUS = {
  starting: "starting",
  ready: "ok",
  rebuilding: "rebuilding",
  failed: "failed",
} as const;

const tags = ["Worker"];

const getHealth = defineRoute({
  method: "get",
  path: "/health",
  operationId: "getHealth",
  tags,
  summary: "How the worker is",
  description: "For people: model, device, memory, store, and how far the model is loaded. The " +
    "store is asked, every few seconds at most, and for a moment only.",
  responses: {
    200: jsonResponse(healthSchema, "The model runs, or loads, for the first time or again."),
    503: jsonResponse(healthSchema, "The model could not be loaded, or runs no more."),
  },
  errors: [],
});

const getReady = defineRoute({
  method: "get",
  path: "/ready",
  operationId: "getReady",
  tags,
  summary: "Whether the worker takes turns",
  description: "For orchestrators. A worker whose store is unreachable is ready all the same: it " +
    "answers turns that start anew.",
  responses: {
    200: jsonResponse(readySchema, "The model runs."),
    503: {
      ...jsonResponse(
        readySchema,
        "The model loads, for the first time or again, could not be loaded, or runs no more.",
      ),
      headers: headerRefs("retry-after"),
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
  description: "For RunPod, which takes 204 for a worker that starts, and for whoever restarts " +
    "workers that have failed.",
  responses: {
    200: jsonResponse(statusSchema, "The model runs."),
    204: { description: "The model loads, for the first time or again." },
    503: jsonResponse(statusSchema, "The model could not be loaded, or runs no more."),
  },
  errors: [],
});

export function healthRoutes(worker: WorkerStatus): ApiRoutes {
  return new ApiRoutes()
    .handle(getHealth, async (c) => {
      const store = await worker.store?.probe();
      return c.json(health(worker, store), worker.state === "failed" ? 503 : 200);
    })
    .handle(getReady, (c) => {
      const ready = worker.state === "ready";
      if (!ready) c.header("retry-after", "5");
      // Orchestrators wait for a second, and not for the store.
      return c.json(readiness(worker, worker.store?.last()), ready ? 200 : 503);
    })
    .handle(getPing, (c) => {
      const { state } = worker;
      if (state === "starting" || state === "rebuilding") return c.body(null, 204);
      return c.json(statusOf(worker), state === "ready" ? 200 : 503);
    });
}

function statusOf({ state, reason }: WorkerStatus): Pick<Readiness, "status" | "reason"> {
  const notLoaded = state === "failed"
    ? "The model could not be loaded: see the worker's log"
    : null;
  return { status: STATUS[state], reason: reason ?? notLoaded };
}

function readiness(worker: WorkerStatus, condition: StoreStatus | undefined): Readiness {
  const { model, device, adapter } = worker.details;
  return {
    ...statusOf(worker),
    model: model ?? null,
    device: device ?? null,
    adapter: adapter ?? null,
    store: worker.store && condition
      ? { kind: worker.store.kind, ...condition, since: new Date(condition.since).toISOString() }
      : null,
  };
}

function health(worker: WorkerStatus, condition: StoreStatus | undefined): Health {
  const { software, deviceReason, quant, loaded, memory, warning } = worker.details;
  return {
    ...readiness(worker, condition),
    device_reason: deviceReason ?? null,
    software: software ?? null,
    quant: quant ?? null,
    loaded: loaded === undefined ? null : Math.floor(loaded * 1000) / 1000,
    memory: memory ? { ...memory, total: memory.weights + memory.states + memory.work } : null,
    warning: warning ?? null,
  };
}
