/** A line of the log for what a client was not told. Whoever reads it is not to resume anything. */

import type { Logger } from "../core/log.ts";

/** Ids that carry a conversation on, and what of them is shown. */
const ID = /\b((?:state|resp|conv)_[0-9a-f]{8})[0-9a-f]{40}\b/g;

/** Logs an error with its stack and what caused it, ids cut short. */
export function logError(log: Logger, message: string, error: unknown): void {
  log.error(cutIds(message), { error: cutIds(trace(error)) });
}

function trace(error: unknown): string {
  if (!(error instanceof Error)) return `${error}`;
  const { stack, message, cause } = error;
  return (stack ?? message) + (cause instanceof Error ? `\ncaused by: ${cause.message}` : "");
}

function cutIds(text: string): string {
  return text.replace(ID, "$1…");
}
