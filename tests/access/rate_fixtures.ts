/** A clock that tests move, and workers' limiters that hear of each other through one store. */

import { RateLimiter } from "../../src/access/rate_limiter.ts";
import type { Backend } from "../../src/store/backends/backend.ts";
import { MemoryBackend } from "../../src/store/backends/memory.ts";
import { RateRows } from "../../src/store/usage/rate_rows.ts";

/** Some epoch time, in the middle of a second. */
const BEGIN = 1_700_000_000_300;

/** More turns of the microtask queue than anything on a memory backend takes. */
const TICKS = 100;

export class VirtualClock {
  #now = BEGIN;
  #due: { at: number; work: () => void }[] = [];

  readonly now = (): number => this.#now;

  readonly later = (work: () => void, milliseconds: number): void => {
    this.#due.push({ at: this.#now + milliseconds, work });
  };

  /** Lets what is under way come to its end. */
  async settle(): Promise<void> {
    for (let i = 0; i < TICKS; i++) await Promise.resolve();
  }

  /** Moves on, and does what is due on the way. */
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

/** Limiters of so many workers. */
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

/** Takes one request, if it may come. */
export function ask(limiter: RateLimiter, limit: number, tenant = "acme"): boolean {
  if (limiter.wait(tenant, "requests", { limit, amount: 1 }) > 0) return false;
  limiter.add(tenant, "requests", 1);
  return true;
}
