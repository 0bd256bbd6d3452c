/**
 * The thread that fuzzed parsers run in. Which case is under way stands in shared memory, where it
 * can be read while this thread hangs.
 */

import { countAllocations } from "./allocations.ts";
import { caseBytes, outcomeOf } from "./cases.ts";
import { targetNamed } from "./targets.ts";

/** What the thread is to do: cases `from` to `to`, `to` not among them, or the bytes given. */
export interface Order {
  target: string;
  seed: number;
  from: number;
  to: number;
  /** In place of made ones. */
  bytes?: Uint8Array<ArrayBuffer> | undefined;
  /** Of the case that is under way. */
  at: Int32Array<SharedArrayBuffer>;
}

/** What it tells. */
export interface Told {
  taken: number;
  refused: number;
  /** In milliseconds, of one case, and which it was. */
  slowest: { ms: number; index: number };
  findings: { index: number; fault: string }[];
}

/** Cases after which rejections that nobody has handled are looked for. */
const BATCH = 20;

const rejections: string[] = [];

self.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  const { reason } = event;
  rejections.push(reason instanceof Error ? reason.stack ?? reason.message : String(reason));
});

countAllocations();

const scope = self as unknown as Pick<Worker, "onmessage" | "postMessage">;

scope.onmessage = async ({ data }: MessageEvent<Order>) => {
  scope.postMessage(await run(data));
};

async function run({ target: name, seed, from, to, bytes, at }: Order): Promise<Told> {
  const target = await targetNamed(name);
  const told: Told = { taken: 0, refused: 0, slowest: { ms: 0, index: from }, findings: [] };
  for (let index = from; index < to; index++) {
    const input = bytes ?? caseBytes(target, seed, index);
    Atomics.store(at, 0, index);
    Atomics.add(at, 1, 1);
    const start = performance.now();
    const outcome = await outcomeOf(target, input);
    const ms = performance.now() - start;
    if (ms > told.slowest.ms) told.slowest = { ms, index };
    if (typeof outcome === "object") told.findings.push({ index, ...outcome });
    else told[outcome]++;
    if ((index - from) % BATCH === BATCH - 1 || index === to - 1) {
      await new Promise((resolve) => setTimeout(resolve));
      for (const reason of rejections.splice(0)) {
        told.findings.push({ index, fault: `unhandled, here or up to ${BATCH} before: ${reason}` });
      }
    }
  }
  return told;
}
