/**
 * What was used in the last minute, second by second. An amount counts until a whole minute has
 * passed since the second in which it came, so in no 60 seconds does more than a bound come, wherever
 * they begin; what counts is perhaps a second older than that.
 */

import type { BySecond } from "../store/usage/rate_rows.ts";

/** Seconds that a bound is for. */
const WINDOW = 60;

/** Milliseconds after which nothing that has come counts any more. */
export const WINDOW_MS = (WINDOW + 1) * 1000;

/** Amounts of one kind, as they come. */
export class RateWindow {
  readonly #amounts = new Map<number, number>();
  #total = 0;

  /** Amounts by the epoch second in which they came. */
  get bySecond(): BySecond {
    return this.#amounts;
  }

  /** All that has ever come. */
  get total(): number {
    return this.#total;
  }

  /**
   * Counts an amount.
   *
   * @returns What takes some of it back.
   */
  add(amount: number, now: number): (less: number) => void {
    const second = secondOf(now);
    for (const then of this.#amounts.keys()) {
      if (!isCounted(then, second)) this.#amounts.delete(then);
    }
    this.#amounts.set(second, (this.#amounts.get(second) ?? 0) + amount);
    this.#total += amount;
    return (less) => {
      const there = this.#amounts.get(second);
      if (there !== undefined) this.#amounts.set(second, Math.max(0, there - less));
      this.#total -= less;
    };
  }
}

/** What counts of amounts that were counted apart. */
export function usedIn(amounts: readonly BySecond[], now: number): number {
  const second = secondOf(now);
  let sum = 0;
  for (const part of amounts) {
    for (const [then, amount] of part) if (isCounted(then, second)) sum += amount;
  }
  return sum;
}

/** Milliseconds until no more than `most` counts, if nothing else comes. */
export function untilUsed(most: number, amounts: readonly BySecond[], now: number): number {
  let over = usedIn(amounts, now) - most;
  if (over <= 0) return 0;
  const second = secondOf(now);
  const counted = [...addSeconds(amounts)].filter(([then]) => isCounted(then, second));
  for (const [then, amount] of counted.sort(([a], [b]) => a - b)) {
    over -= amount;
    if (over <= 0) return then * 1000 + WINDOW_MS - now;
  }
  return 0;
}

/** Milliseconds until nothing counts, if nothing else comes. */
export function untilUnused(amounts: readonly BySecond[], now: number): number {
  const second = secondOf(now);
  let last = -Infinity;
  for (const part of amounts) {
    for (const [then, amount] of part) {
      if (amount > 0 && then > last && isCounted(then, second)) last = then;
    }
  }
  return last === -Infinity ? 0 : last * 1000 + WINDOW_MS - now;
}

/** Amounts that were counted apart, together. */
export function addSeconds(amounts: readonly BySecond[]): BySecond {
  const sums = new Map<number, number>();
  for (const part of amounts) {
    for (const [second, amount] of part) sums.set(second, (sums.get(second) ?? 0) + amount);
  }
  return sums;
}

/** A clock that was set back must not let amounts count for ever. */
function isCounted(then: number, second: number): boolean {
  return Math.abs(second - then) <= WINDOW;
}

function secondOf(now: number): number {
  return Math.floor(now / 1000);
}
