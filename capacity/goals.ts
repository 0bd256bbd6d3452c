/**
 * Latency and rejection goals of a fleet, and the search for the smallest fleet that meets them.
 */

import type { Simulated } from "./fleet.ts";
import { type Flags, numberFlag } from "../src/settings/flags.ts";

type Measured = Simulated["figures"];

/** Each goal is a flag and is met if the metric is at most its value. */
const GOAL_METRICS: Readonly<Record<string, (figures: Measured) => number | undefined>> = {
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
  Object.keys(GOAL_METRICS).map((name) => [name, { type: "string" as const }]),
);

/** Goal values by flag name. */
export type Goals = Readonly<Record<string, number>>;

/** @throws InferenceError `usage` */
export function parseGoals(flags: Flags): Goals {
  return Object.fromEntries(
    Object.keys(GOAL_METRICS).flatMap((name) => {
      const value = numberFlag(flags, name, { min: 0, max: name === "refused" ? 1 : 1e9 });
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Returns the goals that are missed. A goal whose metric has no samples is met. */
export function missedGoals(goals: Goals, figures: Measured): string[] {
  return Object.entries(goals).filter(([name, limit]) => (GOAL_METRICS[name](figures) ?? 0) > limit)
    .map(([name]) => name);
}

/**
 * Finds the smallest number of workers for which `meetsGoals` returns true, by doubling and then
 * bisection. Assumes that more workers are never worse.
 *
 * @returns `null` if `maxWorkers` are not enough
 */
export async function leastWorkers(
  meetsGoals: (workers: number) => Promise<boolean>,
  maxWorkers: number,
): Promise<number | null> {
  let [low, high] = [0, 1];
  while (!await meetsGoals(high)) {
    if (high === maxWorkers) return null;
    low = high;
    high = Math.min(2 * high, maxWorkers);
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await meetsGoals(middle)) high = middle;
    else low = middle;
  }
  return high;
}
