/** Retries with exponential backoff and jitter, or after the server's `retry-after`. */

import { InferenceError } from "../core/errors.ts";

/** A failure that may not recur on the next attempt. */
export class TransientError extends Error {
  /** The server's `retry-after`, in seconds. */
  readonly retryAfter: number | undefined;

  constructor(message: string, options: ErrorOptions & { retryAfter?: number | undefined } = {}) {
    super(message, options);
    this.retryAfter = options.retryAfter;
  }
}

export interface RetryOptions {
  signal?: AbortSignal | undefined;
  /** Called before each delay. */
  onRetry?: ((reason: string, seconds: number) => void) | undefined;
  /** The number of consecutive attempts without progress. */
  maxAttempts: number;
}

/** The longest backoff and the longest accepted `retry-after`, in seconds. */
const MAX_BACKOFF_S = 30;
const MAX_RETRY_AFTER_S = 600;

/**
 * Calls `work` again while it throws a `TransientError`.
 *
 * @param work Calls `onProgress` when it makes progress, which resets the count of attempts.
 * @throws InferenceError `hub_error` after the last attempt; `cancelled`. Other errors of `work` pass
 * through.
 */
export async function retry<T>(
  work: (onProgress: () => void) => Promise<T>,
  { signal, onRetry: onPause, maxAttempts: tries }: RetryOptions,
): Promise<T> {
  for (let failures = 0;;) {
    try {
      return await work(() => failures = 0);
    } catch (error) {
      throwIfCancelled(signal);
      if (!(error instanceof TransientError)) throw error;
      failures++;
      const tooLong = (error.retryAfter ?? 0) > MAX_RETRY_AFTER_S;
      if (failures >= tries || tooLong) {
        const hint = tooLong ? `; retry in ${error.retryAfter} s` : "";
        throw new InferenceError("hub_error", `${error.message}${hint}`, {
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

/** Returns the seconds before attempt `failures + 1`. Jitter spreads clients that failed together. */
export function retryDelay(failures: number, random: () => number = Math.random): number {
  return Math.min(MAX_BACKOFF_S, 0.25 * 2 ** (failures - 1)) * (0.75 + random() / 2);
}

/** Parses `retry-after`, a number of seconds or a date, as seconds. */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d+\s*$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}

/** @throws InferenceError `cancelled` if the signal has aborted. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new InferenceError(
      "cancelled",
      "Stopped; run the same command to resume the download",
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
