/** How long the event loop of this process stands still. */

const PERIOD_MS = 2;

/** Looks at the clock every 2 ms from when it is made until it is disposed of. */
export class EventLoopWatchdog implements Disposable {
  #last = performance.now();
  #longest = 0;
  #disposed = false;
  readonly #timer = setInterval(() => this.#tick(), PERIOD_MS);

  /** Milliseconds of the longest stall so far. */
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
 * Milliseconds of the longest stall while `work` runs. Busy machines pause processes, so it is the
 * least of a few runs, and of no more once one is shorter than `enough`.
 */
export async function longestStall(
  work: () => Promise<unknown>,
  { runs = 5, enough = 50 } = {},
): Promise<number> {
  let least = Infinity;
  for (let run = 0; run < runs && least >= enough; run++) {
    using watchdog = new EventLoopWatchdog();
    await work();
    least = Math.min(least, watchdog.longestStall);
  }
  return least;
}
