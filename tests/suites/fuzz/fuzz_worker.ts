/**
 * The thread that runs fuzzed parsers. The current case is in shared memory, where the main thread
 * can read it even while this thread hangs.
 */

import { countAllocations } from "./allocations.ts";
import { caseBytes, outcomeOf } from "./cases.ts";
import { targetNamed } from "./targets.ts";

/** A job for the thread: cases `from` up to but excluding `to`, or the given bytes. */
export interface FuzzJob {
  target: string;
  seed: number;
  from: number;
  to: number;
  /** Input to use instead of generated cases. */
  bytes?: Uint8Array<ArrayBuffer> | undefined;
  /** Number of the current case, and the count of started ones. */
  at: Int32Array<SharedArrayBuffer>;
}

/** The thread's result. */
export interface BatchResult {
  accepted: number;
  rejected: number;
  /** The slowest case and its milliseconds. */
  slowest: { ms: number; index: number };
  findings: { index: number; fault: string }[];
}

/** Number of cases between checks for unhandled rejections. */
const BATCH = 20;

const rejections: string[] = [];

self.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  const { reason } = event;
  rejections.push(reason instanceof Error ? reason.stack ?? reason.message : String(reason));
});

countAllocations();

const scope = self as unknown as Pick<Worker, "onmessage" | "postMessage">;

scope.onmessage = async ({ data }: MessageEvent<FuzzJob>) => {
  scope.postMessage(await run(data));
};

async function run({ target: name, seed, from, to, bytes, at }: FuzzJob): Promise<BatchResult> {
  const target = await targetNamed(name);
  const result: BatchResult = {
    accepted: 0,
    rejected: 0,
    slowest: { ms: 0, index: from },
    findings: [],
  };
  for (let index = from; index < to; index++) {
    const input = bytes ?? caseBytes(target, seed, index);
    Atomics.store(at, 0, index);
    Atomics.add(at, 1, 1);
    const start = performance.now();
    const outcome = await outcomeOf(target, input);
    const ms = performance.now() - start;
    if (ms > result.slowest.ms) result.slowest = { ms, index };
    if (typeof outcome === "object") result.findings.push({ index, ...outcome });
    else result[outcome]++;
    if ((index - from) % BATCH === BATCH - 1 || index === to - 1) {
      await new Promise((resolve) => setTimeout(resolve));
      for (const reason of rejections.splice(0)) {
        result.findings.push({
          index,
          fault: `unhandled rejection, in this case or up to ${BATCH} before: ${reason}`,
        });
      }
    }
  }
  return result;
}
