/** Entry point of the Web Worker that runs the engine. */

import { handleEngineCalls, type WorkerScope } from "../engine/worker_rpc.ts";
import { type EngineOptions, openEngine } from "./open_engine.ts";

handleEngineCalls(
  self as unknown as WorkerScope,
  (options, callbacks) => openEngine(options as EngineOptions, callbacks),
);
