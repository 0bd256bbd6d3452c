/**
 * Calls of an engine that are under way, and whether they come back: they are carried out in order, so
 * when none comes back for far longer than such a call has ever taken, the device hangs.
 */

import { InferenceError } from "../../core/errors.ts";

/** Bounds of silence, in milliseconds. */
export interface TimeoutLimits {
  /** At least so long. */
  minMs: number;
  /** As long as nothing is known of the device's speed. */
  unmeasuredMs: number;
}

/** Time as the calls see it, in milliseconds. */
export interface Timers {
  now(): number;
  /** Calls `then` once, later; returns what prevents it. */
  after(milliseconds: number, then: () => void): () => void;
}

/** The platform's own. */
export const REAL_TIMERS: Timers = {
  now: () => performance.now(),
  after: (milliseconds, then) => {
    const timer = setTimeout(then, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Times as long as a call has taken, by the token, that one may take. */
const PATIENCE = 20;

/** How fast a slow call is forgotten: with each one, so much of it stays. */
const MEMORY = 0.9;

/** Milliseconds in which replies may still be found that came while this thread was held up. */
const SECOND_LOOK_MS = 1000;

interface Call {
  /** Tokens that it computes; 0 where it is not measured. */
  work: number;
  started: number;
  reject: (error: unknown) => void;
}

export interface CallWatchdogOptions {
  timers: Timers;
  /** `null`: never mind. */
  limits: TimeoutLimits | null;
  /** Told once, when nothing has come back for too long. */
  onTimeout: (error: InferenceError) => void;
}

export class CallWatchdog {
  readonly #options: CallWatchdogOptions;
  /** In the order in which they were made. */
  readonly #open = new Set<Call>();
  /** Milliseconds by the token, of the slowest call of late. */
  #slowest: number | null = null;
  #landed = -Infinity;
  #stopTimer = () => {};

  constructor(options: CallWatchdogOptions) {
    this.#options = options;
  }

  /** What `result` comes to, unless all is over before. */
  watch<T>(work: number, result: Promise<T>): Promise<T> {
    const { now } = this.#options.timers;
    return new Promise<T>((resolve, reject) => {
      const call: Call = { work, started: now(), reject };
      this.#open.add(call);
      if (this.#open.size === 1) this.#wait();
      result.then(resolve, reject).finally(() => this.#land(call));
    });
  }

  /** Rejects all calls under way with `error`. */
  rejectAll(error: unknown): void {
    this.#stopTimer();
    for (const { reject } of this.#open) reject(error);
    this.#open.clear();
  }

  #land(call: Call): void {
    if (!this.#open.delete(call)) return;
    const now = this.#options.timers.now();
    const { work, started } = call;
    if (work > 0) {
      const rate = (now - Math.max(started, this.#landed)) / work;
      this.#slowest = Math.max(rate, MEMORY * (this.#slowest ?? 0));
    }
    this.#landed = now;
    this.#wait();
  }

  /** Waits for the oldest call. */
  #wait(): void {
    const { timers, limits } = this.#options;
    this.#stopTimer();
    const [oldest] = this.#open;
    if (!oldest || !limits) return;
    const limit = this.#slowest === null
      ? Math.max(limits.minMs, limits.unmeasuredMs)
      : Math.max(limits.minMs, PATIENCE * this.#slowest * oldest.work);
    this.#stopTimer = timers.after(limit, () => {
      this.#stopTimer = timers.after(SECOND_LOOK_MS, () => this.#tell(limit));
    });
  }

  #tell(limit: number): void {
    const seconds = Math.round(limit / 1000);
    const message = `The GPU hangs: nothing has come back of it for ${seconds} s`;
    this.#options.onTimeout(new InferenceError("device_lost", message, { fault: "hung" }));
  }
}
