/** A virtual clock, and the rate limiters of several workers that share one store. */

import { RateLimiter } from "../../src/access/rate_limiter.ts";
import type { Backend } from "../../src/store/backends/backend.ts";
import { MemoryBackend } from "../../src/store/backends/memory.ts";
import { RateRows } from "../../src/store/usage/rate_rows.ts";

/** An arbitrary epoch time within a second. */
const START_TIME = 1_700_000_000_300;

/** More microtasks than any operation of a memory backend needs. */
const MICROTASKS = 100;

export class VirtualClock {
  #now = START_TIME;
  #due: { at: number; work: () => void }[] = [];

  readonly now = (): number => this.#now;

  readonly later = (work: () => void, milliseconds: number): void => {
    this.#due.push({ at: this.#now + milliseconds, work });
  };

  /** Waits until running operations end. */
  async settle(): Promise<void> {
    for (let i = 0; i < MICROTASKS; i++) await Promise.resolve();
  }

  /** Advances the time and runs the timers that are due. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await this.settle();
    while (true) {
      const [next] = this.#due.sort((a, b) => a.at - b.at);
      if (next === undefined || next.at > end) break;
      this.#due.shift();
      this.#now = Math.max(this.#now, next.at);
      next.work();
      await this.settle();
    }
    this.#now = end;
  }
}

/** Creates the limiters of `count` workers that share a backend. */
export function workersOf(
  count: number,
  clock: VirtualClock,
  backend: Backend = new MemoryBackend({ now: clock.now }),
): RateLimiter[] {
  return Array.from({ length: count }, (_, i) => {
    const exchange = new RateRows({ backend, worker: `worker-${i}`, now: clock.now });
    return new RateLimiter({ exchange, now: clock.now, later: clock.later });
  });
}

/** Adds one request if the limit allows it. */
export function tryRequest(limiter: RateLimiter, limit: number, tenant = "acme"): boolean {
  if (limiter.wait(tenant, "requests", { limit, amount: 1 }) > 0) return false;
  limiter.add(tenant, "requests", 1);
  return true;
}
