/** A line of the log for what a client was not told. Whoever reads it is not to resume anything. */

import type { Logger } from "../core/log.ts";

/** Ids that carry a conversation on, and what of them is shown. */
const ID = /\b((?:state|resp|conv)_[0-9a-f]{8})[0-9a-f]{40}\b/g;

/** Logs an error with its stack, ids cut short. */
export function logError(log: Logger, message: string, error: unknown): void {
  const text = error instanceof Error ? error.stack ?? error.message : `${error}`;
  log.error(cutIds(message), { error: cutIds(text) });
}

function cutIds(text: string): string {
  return text.replace(ID, "$1…");
}
