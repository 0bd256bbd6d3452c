/** Detects stalled reads and writes with one timer, because a timer per wait is too expensive. */

/** When a wait has stalled, and what happens then. */
export interface StallTimerOptions {
  /** Returns the deadline of a wait that began at `since`, both in `performance.now()` time. */
  deadline(since: number): number;
  /** Called at most once, when a wait misses its deadline. */
  onTimeout(): void;
}

/** Minimum time between two checks while nothing is pending. */
const IDLE_MS = 100;

/** Watches consecutive or concurrent waits for a stall. */
export class StallTimer implements Disposable {
  readonly #options: StallTimerOptions;
  #pending = 0;
  #since = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Starts the timer, which runs until `dispose`. */
  constructor(options: StallTimerOptions) {
    this.#options = options;
    this.#check();
  }

  /** Awaits `promise`. With concurrent waits, each completion restarts the clock. */
  async watch<T>(promise: Promise<T>): Promise<T> {
    if (this.#pending++ === 0) this.#since = performance.now();
    try {
      return await promise;
    } finally {
      this.#pending--;
      this.#since = performance.now();
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #check(): void {
    const now = performance.now();
    const deadline = this.#options.deadline(this.#pending === 0 ? now : this.#since);
    if (this.#pending > 0 && deadline <= now) return this.#options.onTimeout();
    const minDelay = this.#pending === 0 ? IDLE_MS : 1;
    this.#timer = setTimeout(() => this.#check(), Math.max(minDelay, deadline - now));
  }
}
