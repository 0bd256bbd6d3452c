/**
 * The earlier part of a transcript, which a turn does not need: kept in a blob of its own as JSON
 * lines, so that what a turn reads before it writes does not grow with the conversation.
 */

import type { TranscriptEntry } from "./chat_template.ts";

/** What is known of a history without reading it. */
export interface EarlierMessages {
  count: number;
  /** Of the transcript so far, see `PrefixIndex`. */
  hash: string;
}

/** A history that goes on with `entries`; `null` where there is nothing in it. */
export function appendEntries(
  history: Uint8Array | null,
  entries: readonly TranscriptEntry[],
): Uint8Array | null {
  const lines = entries.map(({ role, content }) => `${JSON.stringify({ role, content })}\n`);
  const added = new TextEncoder().encode(lines.join(""));
  if (history === null || history.length === 0) return added.length === 0 ? null : added;
  const whole = new Uint8Array(history.length + added.length);
  whole.set(history);
  whole.set(added, history.length);
  return whole;
}

export function decodeEntries(history: Uint8Array | null): TranscriptEntry[] {
  if (history === null) return [];
  const lines = new TextDecoder().decode(history).split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line));
}
