/** What a worker of the tests says that it holds. */

import type { ThreadMemory } from "../../../bench/heap_usage.ts";

/** The message of the line that tells it. */
export const LIVE_MEMORY_LABEL = "Held";

/** A line of JSON on stderr. */
export interface LiveMemoryLine {
  message: typeof LIVE_MEMORY_LABEL;
  /** By the thread of HTTP, and by that of the engine, without garbage. */
  host: ThreadMemory;
  engine: ThreadMemory;
  /** Milliseconds of the event loop's longest stall since the line before. */
  stallMs: number;
}
