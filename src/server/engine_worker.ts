/** The Worker in which the engine lives. */

import { answerEngineCalls, type WorkerScope } from "../engine/worker_host.ts";
import { type EngineOptions, openEngine } from "./open_engine.ts";

answerEngineCalls(
  self as unknown as WorkerScope,
  (options, callbacks) => openEngine(options as EngineOptions, callbacks),
);
