/**
 * The earlier part of a transcript, which a turn does not need: kept in a blob of its own as JSON
 * lines, so that what a turn reads before it writes does not grow with the conversation. It may have
 * many megabytes: everything here works in time slices.
 */

import { joinInSlices, TimeSlice } from "../core/time_slice.ts";
import type { TranscriptEntry } from "../prompt/chat_template.ts";

/** What is known of a history without reading it. */
export interface EarlierMessages {
  count: number;
  /** Of the transcript so far, see `PrefixIndex`. */
  hash: string;
}

const NEWLINE = 10;
/** Empty lines that are skipped before the time slice is looked at again. */
const EMPTY_LINES = 65_536;

/** A history that goes on with `entries`; `null` where there is nothing in it. */
export async function appendEntries(
  history: Uint8Array | null,
  entries: readonly TranscriptEntry[],
): Promise<Uint8Array | null> {
  const slice = new TimeSlice();
  const encoder = new TextEncoder();
  const lines: Uint8Array[] = [];
  for (const { role, content } of entries) {
    lines.push(encoder.encode(`${JSON.stringify({ role, content })}\n`));
    if (slice.isOver) await slice.next();
  }
  if (lines.length === 0) return history?.length ? history : null;
  return await joinInSlices(history === null ? lines : [history, ...lines]);
}

/** The whole of a history that this or another worker has written. */
export async function decodeEntries(history: Uint8Array | null): Promise<TranscriptEntry[]> {
  const slice = new TimeSlice();
  const decoder = new TextDecoder();
  const entries: TranscriptEntry[] = [];
  for await (const line of historyLines(history)) {
    entries.push(JSON.parse(decoder.decode(line)));
    if (slice.isOver) await slice.next();
  }
  return entries;
}

/** The bytes of each line, those of empty lines left out. */
export async function* historyLines(history: Uint8Array | null): AsyncGenerator<Uint8Array> {
  if (history === null) return;
  const slice = new TimeSlice();
  for (let start = 0; start < history.length;) {
    if (slice.isOver) await slice.next();
    // No worker writes empty lines, and a file may have millions.
    const empty = start + EMPTY_LINES;
    while (history[start] === NEWLINE && start < empty) start++;
    const newline = history.indexOf(NEWLINE, start);
    const end = newline < 0 ? history.length : newline;
    if (end > start) yield history.subarray(start, end);
    start = end + 1;
  }
}
