/**
 * An engine Worker like `src/server/engine_worker.ts`, whose device is lost on the message "lose".
 * A message with a port requests its heap usage.
 */

import { answersCollected } from "../../../bench/collected.ts";
import { type EngineOptions, openEngine } from "../../../src/server/open_engine.ts";
import { handleEngineCalls, type WorkerScope } from "../../../src/engine/worker_rpc.ts";
import { faultyGpu, GpuFaults } from "./faulty_gpu.ts";

const faults = new GpuFaults();

// Added before the engine's own listener, which does not know these messages.
addEventListener("message", (event) => {
  const { data } = event as MessageEvent;
  if (data === "lose") faults.loseDevice();
  else if (!answersCollected(event as MessageEvent)) return;
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
