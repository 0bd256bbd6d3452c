/** `/health` for people, `/ready` for orchestrators, `/ping` for RunPod. */

import { Hono } from "hono";
import { methodNotAllowed } from "./errors.ts";
import type { WorkerStatus } from "./worker.ts";

const STATUS = { starting: "starting", ready: "ok", failed: "failed" } as const;

export function healthRoutes(worker: WorkerStatus): Hono {
  return new Hono()
    .get("/health", (c) => c.json(health(worker), worker.state === "failed" ? 503 : 200))
    .all("/health", methodNotAllowed("GET"))
    .get("/ready", (c) => {
      const ready = worker.state === "ready";
      if (!ready) c.header("retry-after", "5");
      return c.json({ status: STATUS[worker.state] }, ready ? 200 : 503);
    })
    .all("/ready", methodNotAllowed("GET"))
    .get("/ping", (c) => {
      if (worker.state === "starting") return c.body(null, 204);
      return c.json({ status: STATUS[worker.state] }, worker.state === "ready" ? 200 : 503);
    })
    .all("/ping", methodNotAllowed("GET"));
}

function health({ state, details }: WorkerStatus) {
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
