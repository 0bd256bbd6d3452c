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
    sockets: least(({ sockets }) => sockets),
    files: least(({ files }) => files),
  };
}

/** A check that a process holds no more than it did, but for connections that clients keep. */
export function checkGrowth(
  report: Report,
  { what, before, after, clients, seconds }: {
    what: string;
    before: Held;
    after: Held;
    clients: number;
    seconds: number;
  },
): void {
  const grown = (["live", "resident"] as const).map((kind) => {
    const megabytes = [before, after].map((held) => (held[kind] / 1e6).toFixed(1));
    return { text: `${kind} ${megabytes.join(" to ")} MB`, ratio: after[kind] / before[kind] };
  });
  const figure = [
    ...grown.map(({ text }) => text),
    `files ${before.files} to ${after.files}`,
    `sockets ${before.sockets} to ${after.sockets}`,
  ].join(", ");
  const flat = grown.every(({ ratio }) => ratio <= GROWN) && after.files <= before.files &&
    // One for each client, and one for what it makes the worker ask its store.
    after.sockets <= 2 * clients;
  report.add(what, figure, seconds < LEAST_SECONDS || flat);
}
