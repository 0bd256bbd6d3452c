/**
 * Logs errors that are hidden from clients. Redacts ids, because they could resume a conversation.
 */

import { InferenceError } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";

/** Ids that resume a conversation. Logs keep only the captured prefix. */
const ID = /\b((?:state|resp|conv)_[0-9a-f]{8})[0-9a-f]{40}\b/g;

/**
 * Logs an error with its cause and with shortened ids: a bug as an error with its stack, an
 * expected failure as a warning.
 */
export function logError(log: Logger, message: string, error: unknown): void {
  const fields = { error: redactIds(describeError(error)) };
  if (error instanceof InferenceError) log.warn(redactIds(message), fields);
  else log.error(redactIds(message), fields);
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return `${error}`;
  const { message, cause } = error;
  const text = error instanceof InferenceError ? message : error.stack ?? message;
  return text + (cause instanceof Error ? `\ncaused by: ${cause.message}` : "");
}

function redactIds(text: string): string {
  return text.replace(ID, "$1…");
}
