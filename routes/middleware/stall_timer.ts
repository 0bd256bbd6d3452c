/** Waits that may take too long, watched by one timer: one for each costs more than most waits. */

/** What is watched for. */
export interface StallTimerOptions {
  /** When a wait that began at `since` has taken too long, both in milliseconds of `performance`. */
  deadline(since: number): number;
  /** Called when one has; once at most. */
  onTimeout(): void;
}

/** Milliseconds between two looks at least while nothing is waited for. */
const IDLE_MS = 100;

/** Watches one wait after another, or several at once. */
export class StallTimer implements Disposable {
  readonly #options: StallTimerOptions;
  #waits = 0;
  #since = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Watches until it is disposed of. */
  constructor(options: StallTimerOptions) {
    this.#options = options;
    this.#look();
  }

  /** Waits for `promise`. Of several waits, one has begun when the last one has ended. */
  async watch<T>(promise: Promise<T>): Promise<T> {
    if (this.#waits++ === 0) this.#since = performance.now();
    try {
      return await promise;
    } finally {
      this.#waits--;
      this.#since = performance.now();
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    const due = this.#options.deadline(this.#waits === 0 ? now : this.#since);
    if (this.#waits > 0 && due <= now) return this.#options.onTimeout();
    const least = this.#waits === 0 ? IDLE_MS : 1;
    this.#timer = setTimeout(() => this.#look(), Math.max(least, due - now));
  }
}
