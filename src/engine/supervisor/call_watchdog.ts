/**
 * Watchdog for calls to an engine. Calls run in order, so if none completes for far longer than any
 * similar call has taken, the device hangs.
 */

import { InferenceError } from "../../core/errors.ts";

/** Bounds of the timeout, in milliseconds. */
export interface TimeoutLimits {
  /** Minimum timeout. */
  minMs: number;
  /** Timeout until the device's speed has been measured. */
  unmeasuredMs: number;
}

/** A clock and timers, in milliseconds. */
export interface Timers {
  now(): number;
  /** Schedules `then`; returns a function that cancels it. */
  after(milliseconds: number, then: () => void): () => void;
}

/** The platform's clock and timers. */
export const REAL_TIMERS: Timers = {
  now: () => performance.now(),
  after: (milliseconds, then) => {
    const timer = setTimeout(then, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** The timeout per token is this factor times the slowest recent time per token. */
const TIMEOUT_FACTOR = 20;

/** Decay factor that each call applies to the slowest time per token. */
const SLOWEST_DECAY = 0.9;

/** Grace period for replies that arrived while this thread was blocked. */
const GRACE_MS = 1000;

interface Call {
  /** Number of tokens to compute; 0 excludes the call from the measurement. */
  work: number;
  started: number;
  reject: (error: unknown) => void;
}

export interface CallWatchdogOptions {
  timers: Timers;
  /** `null` disables timeouts. */
  limits: TimeoutLimits | null;
  /** Called once, when a call has timed out. */
  onTimeout: (error: InferenceError) => void;
}

export class CallWatchdog {
  readonly #options: CallWatchdogOptions;
  /** Pending calls, oldest first. */
  readonly #pending = new Set<Call>();
  /** Milliseconds per token of the slowest recent call. */
  #slowest: number | null = null;
  #lastCompleted = -Infinity;
  #stopTimer = () => {};

  constructor(options: CallWatchdogOptions) {
    this.#options = options;
  }

  /** Settles like `result`, or rejects when `rejectAll` is called first. */
  watch<T>(work: number, result: Promise<T>): Promise<T> {
    const { now } = this.#options.timers;
    return new Promise<T>((resolve, reject) => {
      const call: Call = { work, started: now(), reject };
      this.#pending.add(call);
      if (this.#pending.size === 1) this.#restartTimer();
      result.then(resolve, reject).finally(() => this.#complete(call));
    });
  }

  /** Rejects all pending calls with `error`. */
  rejectAll(error: unknown): void {
    this.#stopTimer();
    for (const { reject } of this.#pending) reject(error);
    this.#pending.clear();
  }

  #complete(call: Call): void {
    if (!this.#pending.delete(call)) return;
    const now = this.#options.timers.now();
    const { work, started } = call;
    if (work > 0) {
      const rate = (now - Math.max(started, this.#lastCompleted)) / work;
      this.#slowest = Math.max(rate, SLOWEST_DECAY * (this.#slowest ?? 0));
    }
    this.#lastCompleted = now;
    this.#restartTimer();
  }

  /** Restarts the timeout for the oldest call. */
  #restartTimer(): void {
    const { timers, limits } = this.#options;
    this.#stopTimer();
    const [oldest] = this.#pending;
    if (!oldest || !limits) return;
    const limit = this.#slowest === null
      ? Math.max(limits.minMs, limits.unmeasuredMs)
      : Math.max(limits.minMs, TIMEOUT_FACTOR * this.#slowest * oldest.work);
    this.#stopTimer = timers.after(limit, () => {
      this.#stopTimer = timers.after(GRACE_MS, () => this.#reportTimeout(limit));
    });
  }

  #reportTimeout(limit: number): void {
    const seconds = Math.round(limit / 1000);
    const message = `The GPU hangs: no call has completed for ${seconds} s`;
    this.#options.onTimeout(new InferenceError("device_lost", message, { fault: "hung" }));
  }
}
