/**
 * The engine's Worker, as `src/server/engine_worker.ts` is, whose devices fail when a message says so. One
 * that is a port asks what it holds.
 */

import { replyWithHeapUsage } from "../../../bench/heap_usage.ts";
import { type EngineOptions, openEngine } from "../../../src/server/open_engine.ts";
import { handleEngineCalls, type WorkerScope } from "../../../src/engine/worker_rpc.ts";
import { faultyGpu, GpuFaults } from "./faulty_gpu.ts";

const faults = new GpuFaults();

// Before the engine's own listener, which knows nothing of this.
addEventListener("message", (event) => {
  const { data } = event as MessageEvent;
  if (data === "lose") faults.lose();
  else if (!replyWithHeapUsage(event as MessageEvent)) return;
  event.stopImmediatePropagation();
});

handleEngineCalls(
  self as unknown as WorkerScope,
  (options, callbacks) =>
    openEngine(options as EngineOptions, {
      ...callbacks,
      gpu: faultyGpu(navigator.gpu, faults),
    }),
);
