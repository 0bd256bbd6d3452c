/** Whether processes grow. */

import { setTimeout as delay } from "node:timers/promises";
import type { Report } from "../fleet/report.ts";
import type { Held, SoakWorker } from "./worker.ts";

/** Times by which memory may have grown since. */
const GROWN = 1.1;
/** Seconds for which that tells something: V8 takes minutes to come to the size that it keeps. */
const LEAST_SECONDS = 900;

/** Milliseconds for which an event loop may stand still where all processors are busy. */
const STALL_MS = 1000;

/** What a process holds when it has nothing to do; the least of some looks. */
export async function heldIdle(worker: SoakWorker): Promise<Held> {
  const looks: Held[] = [];
  for (let look = 0; look < 3; look++) {
    await delay(1000);
    looks.push(await worker.held());
  }
  const least = (of: (held: Held) => number) => Math.min(...looks.map(of));
  return {
    stallMs: Math.max(...looks.map(({ stallMs }) => stallMs)),
    live: least(({ live }) => live),
    resident: least(({ resident }) => resident),
    sockets: least(({ sockets }) => sockets),
    files: least(({ files }) => files),
  };
}

/**
 * A check that a process holds no more at the end than it did, but for connections that clients keep,
 * and that its event loop did not stand still:
 * of the looks of each half the least, since what allocators keep comes and goes.
 */
export function checkGrowth(
  report: Report,
  { what, looks, clients, seconds }: {
    what: string;
    looks: readonly Held[];
    clients: number;
    seconds: number;
  },
): void {
  const half = looks.length / 2;
  const least = (kind: keyof Held, from: number) =>
    Math.min(...looks.slice(from, from + half).map((held) => held[kind]));
  const told = (kind: keyof Held, unit: number) =>
    `${kind} ${looks.map((held) => Math.round(held[kind] / unit)).join(" ")}`;
  const figure = [
    `${told("live", 1e6)} MB`,
    `${told("resident", 1e6)} MB`,
    told("files", 1),
    told("sockets", 1),
    `stalls ${looks.map(({ stallMs }) => Math.round(stallMs)).join(" ")} ms`,
  ].join(", ");
  const flat = (["live", "resident"] as const).every((kind) => {
    return least(kind, half) <= GROWN * least(kind, 0);
  });
  const closed = least("files", half) <= least("files", 0) &&
    // One for each client, and one for what it makes the worker ask its store.
    looks.every(({ sockets }) => sockets <= 2 * clients);
  const responsive = looks.every(({ stallMs }) => stallMs <= STALL_MS);
  report.add(what, figure, responsive && (seconds < LEAST_SECONDS || flat && closed));
}
