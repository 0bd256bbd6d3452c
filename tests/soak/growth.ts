/** Whether processes grow. */

import { setTimeout as delay } from "node:timers/promises";
import type { Report } from "../fleet/report.ts";
import type { Held, SoakWorker } from "./worker.ts";

/** Times by which memory may have grown since. */
const GROWN = 1.1;
/** Seconds for which that tells something: V8 takes minutes to come to the size that it keeps. */
const LEAST_SECONDS = 900;

/** What a process holds when it has nothing to do; the least of some looks. */
export async function heldIdle(worker: SoakWorker): Promise<Held> {
  const looks: Held[] = [];
  for (let look = 0; look < 3; look++) {
    await delay(1000);
    looks.push(await worker.held());
  }
  const least = (of: (held: Held) => number) => Math.min(...looks.map(of));
  return {
    live: least(({ live }) => live),
    resident: least(({ resident }) => resident),
    descriptors: least(({ descriptors }) => descriptors),
  };
}

/** A check that a process holds no more than it did. */
export function checkGrowth(
  report: Report,
  { what, before, after, seconds }: { what: string; before: Held; after: Held; seconds: number },
): void {
  const kinds = (["live", "resident"] as const).map((kind) => {
    const megabytes = [before, after].map((held) => (held[kind] / 1e6).toFixed(1));
    return { text: `${kind} ${megabytes.join(" to ")} MB`, ratio: after[kind] / before[kind] };
  });
  const descriptors = `descriptors ${before.descriptors} to ${after.descriptors}`;
  const flat = after.descriptors <= before.descriptors + 2 &&
    kinds.every(({ ratio }) => ratio <= GROWN);
  const figure = [...kinds.map(({ text }) => text), descriptors].join(", ");
  report.add(what, figure, seconds < LEAST_SECONDS || flat);
}
