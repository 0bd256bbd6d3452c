/**
 * Usage in the last minute, by the second. An amount counts until a whole minute has passed since
 * the second in which it was added, so no period of 60 seconds exceeds a limit. An amount may count
 * for up to a second longer than a minute.
 */

import type { BySecond } from "../store/usage/rate_rows.ts";

/** Length of the window in seconds. */
const WINDOW = 60;

/** Milliseconds after which an amount no longer counts. */
export const WINDOW_MS = (WINDOW + 1) * 1000;

/** The amounts of one kind. */
export class RateWindow {
  readonly #amounts = new Map<number, number>();
  #total = 0;

  /** Amounts by the epoch second in which they were added. */
  get bySecond(): BySecond {
    return this.#amounts;
  }

  /** Sum of all amounts ever added. */
  get total(): number {
    return this.#total;
  }

  /**
   * Adds an amount.
   *
   * @returns A function that takes some of it back.
   */
  add(amount: number, now: number): (less: number) => void {
    const second = secondOf(now);
    for (const then of this.#amounts.keys()) {
      if (!isCounted(then, second)) this.#amounts.delete(then);
    }
    this.#amounts.set(second, (this.#amounts.get(second) ?? 0) + amount);
    this.#total += amount;
    return (less) => {
      const amount = this.#amounts.get(second);
      if (amount !== undefined) this.#amounts.set(second, Math.max(0, amount - less));
      this.#total -= less;
    };
  }
}

/** Returns the sum of the amounts that count. */
export function usedIn(amounts: readonly BySecond[], now: number): number {
  const second = secondOf(now);
  let sum = 0;
  for (const part of amounts) {
    for (const [then, amount] of part) if (isCounted(then, second)) sum += amount;
  }
  return sum;
}

/** Returns the milliseconds until at most `max` counts, if nothing is added. */
export function untilUsed(max: number, amounts: readonly BySecond[], now: number): number {
  let over = usedIn(amounts, now) - max;
  if (over <= 0) return 0;
  const second = secondOf(now);
  const counted = [...addSeconds(amounts)].filter(([then]) => isCounted(then, second));
  for (const [then, amount] of counted.sort(([a], [b]) => a - b)) {
    over -= amount;
    if (over <= 0) return then * 1000 + WINDOW_MS - now;
  }
  return 0;
}

/** Returns the milliseconds until nothing counts, if nothing is added. */
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

/** Returns the sums of several series of amounts. */
export function addSeconds(amounts: readonly BySecond[]): BySecond {
  const sums = new Map<number, number>();
  for (const part of amounts) {
    for (const [second, amount] of part) sums.set(second, (sums.get(second) ?? 0) + amount);
  }
  return sums;
}

/** Amounts must not count forever after a clock was set back. */
function isCounted(then: number, second: number): boolean {
  return Math.abs(second - then) <= WINDOW;
}

function secondOf(now: number): number {
  return Math.floor(now / 1000);
}
