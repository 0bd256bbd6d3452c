/** A line of the log for what a client was not told. Whoever reads it is not to resume anything. */

import { InferenceError } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";

/** Ids that carry a conversation on, and what of them is shown. */
const ID = /\b((?:state|resp|conv)_[0-9a-f]{8})[0-9a-f]{40}\b/g;

/**
 * Logs an error with what caused it, ids cut short: a bug with its stack, what is known to happen as
 * a warning.
 */
export function logError(log: Logger, message: string, error: unknown): void {
  const fields = { error: cutIds(trace(error)) };
  if (error instanceof InferenceError) log.warn(cutIds(message), fields);
  else log.error(cutIds(message), fields);
}

function trace(error: unknown): string {
  if (!(error instanceof Error)) return `${error}`;
  const { message, cause } = error;
  const text = error instanceof InferenceError ? message : error.stack ?? message;
  return text + (cause instanceof Error ? `\ncaused by: ${cause.message}` : "");
}

function cutIds(text: string): string {
  return text.replace(ID, "$1…");
}
