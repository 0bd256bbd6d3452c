/** The heap usage that a test worker reports. */

import type { ThreadMemory } from "../../../bench/collected.ts";

/** The `message` of the report. */
export const LIVE_MEMORY_LABEL = "Live memory";

/** The report, a line of JSON on stderr. */
export interface LiveMemoryLine {
  message: typeof LIVE_MEMORY_LABEL;
  /** Usage of the HTTP thread and of the engine's thread, after garbage collection. */
  host: ThreadMemory;
  engine: ThreadMemory;
  /** The event loop's longest stall since the previous report, in milliseconds. */
  stallMs: number;
}
