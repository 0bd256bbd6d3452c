/** Distributions of lengths and times in the syntax of flags. */

import { usageError } from "../src/settings/flags.ts";

/** Maps a random number in [0, 1) to a value; monotonic. */
export type Distribution = (random: number) => number;

/** The syntax, as errors show it. */
export const SYNTAX = "N, N-N (uniform), N,N,… (one of them), exp:MEAN, or log:MEDIAN:P95";

/** The 95th percentile of the normal distribution. */
const NORMAL_P95 = 1.6448536269514722;

/** @throws InferenceError `usage` naming the flag and its value */
export function parseDistribution(flag: string, text: string): Distribution {
  const [name, ...rest] = text.split(":");
  const numbers = (parts: readonly string[], min: number) => {
    const values = parts.map((part) => part.trim() === "" ? NaN : Number(part));
    if (values.every((value) => value >= min && value < 1e12)) return values;
    throw usageError(`Cannot use --${flag} ${text}: it must be ${SYNTAX}`);
  };
  if (name === "exp" && rest.length === 1) {
    const [mean] = numbers(rest, 0);
    return (random) => -mean * Math.log1p(-random);
  }
  if (name === "log" && rest.length === 2) {
    const [median, p95] = numbers(rest, Number.MIN_VALUE);
    const sigma = Math.log(p95 / median) / NORMAL_P95;
    return (random) => median * Math.exp(sigma * normalAt(random));
  }
  if (text.includes(",")) {
    const values = numbers(text.split(","), 0).sort((a, b) => a - b);
    return (random) => values[Math.floor(random * values.length)];
  }
  const [from, to = from] = numbers(text.split("-"), 0);
  return (random) => from + random * (to - from);
}

/** Returns its mean over `values` evenly spaced quantiles. */
export function meanOf(distribution: Distribution, values = 10_000): number {
  let sum = 0;
  for (let i = 0; i < values; i++) sum += distribution((i + 0.5) / values);
  return sum / values;
}

/**
 * Returns the standard normal's quantile by Newton's method on its distribution function, which
 * converges in a few steps from the logistic approximation.
 */
function normalAt(random: number): number {
  const p = Math.min(1 - 1e-12, Math.max(1e-12, random));
  let z = Math.log(p / (1 - p)) / 1.702;
  for (let i = 0; i < 50; i++) {
    const step = (normalBelow(z) - p) / (Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI));
    z -= Math.max(-1, Math.min(1, step));
    if (Math.abs(step) < 1e-10) break;
  }
  return z;
}

/** Returns the standard normal's distribution function at `z`, by its series (Marsaglia 2004). */
function normalBelow(z: number): number {
  if (z < -8) return 0;
  if (z > 8) return 1;
  let sum = z, term = z;
  for (let i = 3; sum + term !== sum; i += 2) {
    term *= z * z / i;
    sum += term;
  }
  return 0.5 + sum * Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
}
