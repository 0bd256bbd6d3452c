/** Measures how long this process's event loop is blocked. */

const PERIOD_MS = 2;

/** Checks the clock every 2 ms until it is disposed of. */
export class EventLoopWatchdog implements Disposable {
  #last = performance.now();
  #longest = 0;
  #disposed = false;
  readonly #timer = setInterval(() => this.#tick(), PERIOD_MS);

  /** The longest stall so far, in milliseconds. */
  get longestStall(): number {
    if (!this.#disposed) this.#tick();
    return this.#longest;
  }

  #tick(): void {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#last - PERIOD_MS);
    this.#last = now;
  }

  [Symbol.dispose](): void {
    this.#tick();
    this.#disposed = true;
    clearInterval(this.#timer);
  }
}

/**
 * Returns the longest stall while `work` runs, in milliseconds. Busy machines pause processes, so
 * this is the minimum of several runs, which end early once a stall is shorter than `enough`.
 */
export async function longestStall(
  work: () => Promise<unknown>,
  { runs = 5, enough = 50 } = {},
): Promise<number> {
  let shortest = Infinity;
  for (let run = 0; run < runs && shortest >= enough; run++) {
    using watchdog = new EventLoopWatchdog();
    await work();
    shortest = Math.min(shortest, watchdog.longestStall);
  }
  return shortest;
}
