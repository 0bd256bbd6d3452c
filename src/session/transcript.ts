/** Reads stored states for clients: descriptions, and transcripts page by page. */

import { TimeSlice } from "../core/time_slice.ts";
import { bytesOf, textBytesOf } from "../store/states/manifest.ts";
import type { StateInfo, StateStore } from "../store/states/state_store.ts";
import type { TranscriptEntry } from "../prompt/chat_template.ts";
import { decodeSnapshot, historyLines, type TurnSnapshot } from "./stored_turn.ts";
import type { PageRequest, TranscriptMessage, TranscriptPage } from "./session_api.ts";
import type { ReserveMemory, StateDescription } from "./session_types.ts";

/** Default size of a page. */
const DEFAULT_PAGE = { messages: 1000, bytes: 4 * 1024 * 1024 } as const;

/** A stored turn whose transcript is read. */
export interface StoredTranscript {
  info: StateInfo;
  snapshot: TurnSnapshot;
}

/**
 * Reads the snapshot of a state.
 *
 * @throws InferenceError from `StateStore.inspect` or `reserve`
 */
export async function openTranscript(
  store: StateStore,
  id: string,
  reserve?: ReserveMemory,
): Promise<StoredTranscript> {
  const { info, turn } = await store.inspect(id);
  reserve?.(textBytesOf(info));
  return { info, snapshot: decodeSnapshot(turn) };
}

/**
 * Reads a page of a transcript. Parses only the messages of the page.
 *
 * @throws InferenceError from `StateStore.readHistory`
 */
export async function readPage(
  store: StateStore,
  { info, snapshot }: StoredTranscript,
  page: PageRequest,
): Promise<TranscriptPage> {
  const { limit = DEFAULT_PAGE.messages, maxBytes = DEFAULT_PAGE.bytes, after } = page;
  const lines: Uint8Array[] = [];
  for await (const line of historyLines(await store.readHistory(info))) lines.push(line);
  const hidden = page.withoutInstructions ? snapshot.instructions?.at : undefined;
  const count = lines.length + snapshot.transcript.length;
  const total = hidden === undefined ? count : count - 1;
  const indexOf = (n: number) => page.order === "desc" ? total - 1 - n : n;
  const first = after === undefined ? 0 : indexOf(after) + 1;
  const slice = new TimeSlice();
  const decoder = new TextDecoder();
  const messages: TranscriptMessage[] = [];
  let bytes = 0;
  for (let n = first; n < total && messages.length < limit && bytes < maxBytes; n++) {
    const index = indexOf(n);
    const at = hidden !== undefined && index >= hidden ? index + 1 : index;
    const line = lines[at];
    const { role, content }: TranscriptEntry = line === undefined
      ? snapshot.transcript[at - lines.length]
      : JSON.parse(decoder.decode(line));
    bytes += line?.length ?? content.length;
    messages.push({ role, content, index });
    if (slice.isOver) await slice.next();
  }
  return { messages, total, hasMore: first + messages.length < total };
}

/**
 * Describes a state, with a page of its transcript.
 *
 * @throws InferenceError from `StateStore.inspect` or `reserve`
 */
export async function describeState(
  store: StateStore,
  id: string,
  { reserve, ...page }: PageRequest & { reserve?: ReserveMemory | undefined } = {},
): Promise<StateDescription> {
  const stored = await openTranscript(store, id, reserve);
  const { messages, total, hasMore } = await readPage(store, stored, page);
  const { info, snapshot } = stored;
  return {
    id: info.id,
    model: info.model,
    created: info.created,
    expires: info.expires,
    bytes: bytesOf(info),
    open: info.open,
    tokens: snapshot.processedTokens,
    pendingTokens: snapshot.pending.length,
    messageCount: total,
    hasMore,
    transcript: messages.map(({ role, content }) => ({ role, content })),
  };
}
