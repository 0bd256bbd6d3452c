/** Probes: `/health` for operators, `/ready` for orchestrators, `/ping` for RunPod. */

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
  summary: "Get the worker's health",
  description:
    "Detailed status of the model, device, memory, store and loading progress. The store " +
    "is probed at most once every few seconds, with a short timeout.",
  responses: {
    200: jsonResponse(healthSchema, "The model is running, loading or reloading."),
    503: jsonResponse(healthSchema, "The model failed to load or stopped running."),
  },
  errors: [],
});

const getReady = defineRoute({
  method: "get",
  path: "/ready",
  operationId: "getReady",
  tags,
  summary: "Check readiness",
  description: "Readiness probe for orchestrators. A worker with an unreachable store is ready, " +
    "because it can serve turns that do not resume a state.",
  responses: {
    200: jsonResponse(readySchema, "The model is running."),
    503: {
      ...jsonResponse(
        readySchema,
        "The model is loading or reloading, failed to load, or stopped running.",
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
  summary: "Check liveness",
  description: "Liveness probe for RunPod, which interprets 204 as starting, and for supervisors " +
    "that restart failed workers.",
  responses: {
    200: jsonResponse(statusSchema, "The model is running."),
    204: { description: "The model is loading or reloading." },
    503: jsonResponse(statusSchema, "The model failed to load or stopped running."),
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
      // Orchestrators time out after about a second, so this does not wait for the store.
      return c.json(readiness(worker, worker.store?.last()), ready ? 200 : 503);
    })
    .handle(getPing, (c) => {
      const { state } = worker;
      if (state === "starting" || state === "rebuilding") return c.body(null, 204);
      return c.json(statusOf(worker), state === "ready" ? 200 : 503);
    });
}

function statusOf({ state, reason }: WorkerStatus): Pick<Readiness, "status" | "reason"> {
  const loadFailure = state === "failed" ? "The model failed to load; see the worker's log" : null;
  return { status: STATUS[state], reason: reason ?? loadFailure };
}

function readiness(worker: WorkerStatus, status: StoreStatus | undefined): Readiness {
  const { model, device, adapter } = worker.details;
  return {
    ...statusOf(worker),
    model: model ?? null,
    device: device ?? null,
    adapter: adapter ?? null,
    store: worker.store && status
      ? { kind: worker.store.kind, ...status, since: new Date(status.since).toISOString() }
      : null,
  };
}

function health(worker: WorkerStatus, status: StoreStatus | undefined): Health {
  const { software, deviceReason, quant, loaded, memory, warning } = worker.details;
  return {
    ...readiness(worker, status),
    device_reason: deviceReason ?? null,
    software: software ?? null,
    quant: quant ?? null,
    loaded: loaded === undefined ? null : Math.floor(loaded * 1000) / 1000,
    memory: memory ? { ...memory, total: memory.weights + memory.states + memory.work } : null,
    warning: warning ?? null,
  };
}
