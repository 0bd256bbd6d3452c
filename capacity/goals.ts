/** What is asked of a fleet, and the least one that gives it. */

import type { Simulated } from "./fleet.ts";
import { type Flags, numberFlag } from "../src/settings/flags.ts";

type Measured = Simulated["figures"];

/** Each is a flag, and holds where the figure is at most its value. */
const GOALS: Readonly<Record<string, (figures: Measured) => number | undefined>> = {
  "ttft-p50": ({ ttft_ms }) => ttft_ms?.p50,
  "ttft-p95": ({ ttft_ms }) => ttft_ms?.p95,
  "ttft-p99": ({ ttft_ms }) => ttft_ms?.p99,
  "gap-p50": ({ gap_ms }) => gap_ms?.p50,
  "gap-p99": ({ gap_ms }) => gap_ms?.p99,
  "token-p50": ({ token_ms }) => token_ms?.p50,
  "token-p95": ({ token_ms }) => token_ms?.p95,
  "queue-p95": ({ queue_ms }) => queue_ms?.p95,
  "refused": ({ refused }) => refused,
};

export const GOAL_FLAGS = Object.fromEntries(
  Object.keys(GOALS).map((name) => [name, { type: "string" as const }]),
);

/** Values of goals, by their flags. */
export type Goals = Readonly<Record<string, number>>;

/** @throws InferenceError `usage` */
export function parseGoals(flags: Flags): Goals {
  return Object.fromEntries(
    Object.keys(GOALS).flatMap((name) => {
      const value = numberFlag(flags, name, { min: 0, max: name === "refused" ? 1 : 1e9 });
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Goals that do not hold; one of whose figure there is nothing does. */
export function missedGoals(goals: Goals, figures: Measured): string[] {
  return Object.entries(goals).filter(([name, most]) => (GOALS[name](figures) ?? 0) > most)
    .map(([name]) => name);
}

/**
 * The least number of workers for which `holds`: twice as many until it does, then between. More
 * workers are taken to be no worse.
 *
 * @returns `null` if `most` are not enough
 */
export async function leastWorkers(
  holds: (workers: number) => Promise<boolean>,
  most: number,
): Promise<number | null> {
  let [low, high] = [0, 1];
  while (!await holds(high)) {
    if (high === most) return null;
    low = high;
    high = Math.min(2 * high, most);
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}
