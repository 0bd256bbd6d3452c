/** Checks whether processes leak memory or descriptors. */

import { setTimeout as delay } from "node:timers/promises";
import type { Report } from "../fleet/report.ts";
import type { ResourceUsage, SoakWorker } from "./worker.ts";

/** Maximum ratio of memory growth. */
const MAX_GROWTH = 1.1;
/** Minimum duration of a meaningful check: V8 takes minutes to reach its steady heap size. */
const MIN_SECONDS = 900;

/** Maximum stall of an event loop while all processors are busy, in milliseconds. */
const MAX_STALL_MS = 1000;

/** Measures an idle process, with the minimum of several samples. */
export async function measureIdle(worker: SoakWorker): Promise<ResourceUsage> {
  const samples: ResourceUsage[] = [];
  for (let sample = 0; sample < 3; sample++) {
    await delay(1000);
    samples.push(await worker.measure());
  }
  const minimum = (of: (usage: ResourceUsage) => number) => Math.min(...samples.map(of));
  return {
    stallMs: Math.max(...samples.map(({ stallMs }) => stallMs)),
    live: minimum(({ live }) => live),
    resident: minimum(({ resident }) => resident),
    sockets: minimum(({ sockets }) => sockets),
    files: minimum(({ files }) => files),
  };
}

/**
 * Checks that memory and descriptors of a process did not grow, except for connections that clients
 * keep open, and that its event loop did not stall. Compares the minima of both halves of the
 * samples, because allocators retain varying amounts.
 */
export function checkGrowth(
  report: Report,
  { what, samples, clients, seconds }: {
    what: string;
    samples: readonly ResourceUsage[];
    clients: number;
    seconds: number;
  },
): void {
  const half = samples.length / 2;
  const minimum = (kind: keyof ResourceUsage, from: number) =>
    Math.min(...samples.slice(from, from + half).map((usage) => usage[kind]));
  const series = (kind: keyof ResourceUsage, unit: number) =>
    `${kind} ${samples.map((usage) => Math.round(usage[kind] / unit)).join(" ")}`;
  const figure = [
    `${series("live", 1e6)} MB`,
    `${series("resident", 1e6)} MB`,
    series("files", 1),
    series("sockets", 1),
    `stalls ${samples.map(({ stallMs }) => Math.round(stallMs)).join(" ")} ms`,
  ].join(", ");
  const isStable = (["live", "resident"] as const).every((kind) => {
    return minimum(kind, half) <= MAX_GROWTH * minimum(kind, 0);
  });
  const closed = minimum("files", half) <= minimum("files", 0) &&
    // One for each client, and one for the store request that it causes.
    samples.every(({ sockets }) => sockets <= 2 * clients);
  const responsive = samples.every(({ stallMs }) => stallMs <= MAX_STALL_MS);
  report.add(what, figure, responsive && (seconds < MIN_SECONDS || isStable && closed));
}
