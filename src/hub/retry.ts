/**
 * Trying again: what was interrupted is asked for once more, after a pause that doubles, or as long
 * as the server asks for.
 */

import { InferenceError } from "../core/errors.ts";

/** What may go well the next time. */
export class TransientError extends Error {
  /** Seconds that the server asks to wait. */
  readonly retryAfter: number | undefined;

  constructor(message: string, options: ErrorOptions & { retryAfter?: number | undefined } = {}) {
    super(message, options);
    this.retryAfter = options.retryAfter;
  }
}

export interface RetryOptions {
  signal?: AbortSignal | undefined;
  /** Told before each pause. */
  onRetry?: ((reason: string, seconds: number) => void) | undefined;
  /** Tries without progress after which it is given up. */
  maxAttempts: number;
}

/** Longest pause that doubling comes to, and longest one that a server may ask for, in seconds. */
const LONGEST_PAUSE = 30;
const LONGEST_ASKED = 600;

/**
 * Calls `work` until it does not throw an `Interruption`.
 *
 * @param work Calls `progressed` when something was gained: then the count of tries begins anew.
 * @throws InferenceError `hub_error` after the last try; `cancelled`. What else `work` throws passes
 * through.
 */
export async function retry<T>(
  work: (progressed: () => void) => Promise<T>,
  { signal, onRetry: onPause, maxAttempts: tries }: RetryOptions,
): Promise<T> {
  for (let failures = 0;;) {
    try {
      return await work(() => failures = 0);
    } catch (error) {
      throwIfCancelled(signal);
      if (!(error instanceof TransientError)) throw error;
      failures++;
      const tooLong = (error.retryAfter ?? 0) > LONGEST_ASKED;
      if (failures >= tries || tooLong) {
        const asked = tooLong ? `; it asks to be left alone for ${error.retryAfter} s` : "";
        throw new InferenceError("hub_error", `${error.message}${asked}`, {
          cause: error,
          retryAfter: error.retryAfter,
        });
      }
      const seconds = error.retryAfter ?? retryDelay(failures);
      onPause?.(error.message, seconds);
      await wait(seconds, signal);
    }
  }
}

/** Seconds before try `failures + 1`, spread so that many who fail at once do not return at once. */
export function retryDelay(failures: number, random: () => number = Math.random): number {
  return Math.min(LONGEST_PAUSE, 0.25 * 2 ** (failures - 1)) * (0.75 + random() / 2);
}

/** Seconds that `retry-after` asks for: a number of them, or a date. */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d+\s*$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}

/** @throws InferenceError `cancelled` after `signal`. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new InferenceError(
      "cancelled",
      "Stopped; what has been downloaded is kept, and the same command goes on from there",
    );
  }
}

async function wait(seconds: number, signal: AbortSignal | undefined): Promise<void> {
  throwIfCancelled(signal);
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, 1000 * seconds);
  const onAbort = () => resolve();
  signal?.addEventListener("abort", onAbort);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
  throwIfCancelled(signal);
}
