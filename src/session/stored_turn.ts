/**
 * The stored parts of a turn besides the manifest: its snapshot, the history before it, the
 * encoding of its state, and the report for its client.
 *
 * Together with the model's state, the snapshot contains everything that is needed to continue the
 * conversation exactly. It is JSON in the store's `turn` blob.
 */

import { InferenceError } from "../core/errors.ts";
import { toHex } from "../core/hex.ts";
import type { TranscriptEntry } from "../prompt/chat_template.ts";
import { joinInSlices, TimeSlice } from "../core/time_slice.ts";
import {
  decodeState,
  encodeState,
  readStateHeader,
  stateBytes,
  type StateCodec,
  stateNumbers,
} from "../store/states/state_codec.ts";
import type { SessionModel } from "./session_types.ts";
import type { TurnReport } from "./session_api.ts";

export interface TurnSnapshot {
  /** Tokens to process first. */
  pending: readonly number[];
  /** Number of tokens that the state has processed. */
  processedTokens: number;
  /** Number of tokens sampled in the conversation: the position in the random sequence. */
  position: number;
  seed: bigint;
  /** Decayed number of times that each token was sampled. */
  counts: ReadonlyMap<number, number>;
  /** Sampled bytes of an open reply that were not displayed yet. */
  undisplayedBytes: Uint8Array;
  /** Messages in the history, not in `transcript`; `null` if there are none. */
  earlier: EarlierMessages | null;
  /** The latest messages. In an open turn the last one is the reply so far. */
  transcript: readonly TranscriptEntry[];
  /** Whether the turn continues a raw text. Then no chat template surrounds the reply. */
  rawText?: boolean;
  /** The system message of this turn only, and its position in the whole transcript. */
  instructions?: Instructions;
}

export interface Instructions {
  /** Number of messages before it. */
  at: number;
  text: string;
}

export function encodeSnapshot(snapshot: TurnSnapshot): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(storedFields(snapshot)));
}

/** Names of the stored fields. */
export type StoredField = keyof ReturnType<typeof storedFields>;

function storedFields(snapshot: TurnSnapshot) {
  return {
    version: 1,
    pending: snapshot.pending,
    absorbed: snapshot.processedTokens,
    position: snapshot.position,
    seed: snapshot.seed.toString(),
    counts: [...snapshot.counts],
    held: toHex(snapshot.undisplayedBytes),
    earlier: snapshot.earlier,
    transcript: snapshot.transcript,
    plain: snapshot.rawText,
    instructions: snapshot.instructions,
  };
}

/**
 * Decodes a snapshot.
 *
 * @throws InferenceError `state_damaged` for an unknown version
 */
export function decodeSnapshot(bytes: Uint8Array): TurnSnapshot {
  // The store has verified checksums, so an unknown version is not damage but another format.
  return parseSnapshot(JSON.parse(new TextDecoder().decode(bytes)));
}

/** Decodes a snapshot from parsed JSON. Throws the errors of {@linkcode decodeSnapshot}. */
// deno-lint-ignore no-explicit-any
export function parseSnapshot(json: any): TurnSnapshot {
  if (json?.version !== 1) {
    throw new InferenceError(
      "state_damaged",
      `Cannot read a turn of version ${String(json?.version)}: this worker supports version 1`,
      { param: "state_id" },
    );
  }
  return {
    pending: json.pending,
    processedTokens: json.absorbed,
    position: json.position,
    seed: BigInt(json.seed),
    counts: new Map(json.counts),
    undisplayedBytes: Uint8Array.fromHex(json.held),
    earlier: json.earlier ?? null,
    transcript: json.transcript,
    ...(json.plain === true ? { rawText: true } : {}),
    ...(json.instructions ? { instructions: json.instructions } : {}),
  };
}

/**
 * Returns a snapshot whose first `count` messages are moved to the history.
 *
 * @param hashes The hash after each message of the transcript, see `PrefixIndex`.
 */
export function archiveTurn(
  snapshot: TurnSnapshot,
  count: number,
  hashes: readonly string[],
): TurnSnapshot {
  if (count === 0) return snapshot;
  return {
    ...snapshot,
    earlier: { count: (snapshot.earlier?.count ?? 0) + count, hash: hashes[count - 1] },
    transcript: snapshot.transcript.slice(count),
  };
}

/** Returns the whole transcript without the instructions of the latest turn. */
export function visibleTranscript(
  earlier: readonly TranscriptEntry[],
  { transcript, instructions }: Pick<TurnSnapshot, "transcript" | "instructions">,
): TranscriptEntry[] {
  return [...earlier, ...transcript].filter((_, i) => i !== instructions?.at);
}

/** Summary of a history, so that most turns need not read it. */
export interface EarlierMessages {
  count: number;
  /** Prefix hash after the last message, see `PrefixIndex`. */
  hash: string;
}

const NEWLINE = 10;
/** Number of empty lines to skip before the next check of the time slice. */
const EMPTY_LINES_PER_CHECK = 65_536;

/**
 * Appends messages to a history; `null` if the result is empty. A history may have many megabytes,
 * so all functions on it work in time slices.
 */
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

/** Decodes a history that a worker has written. */
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

/** Yields the bytes of each line except empty ones. */
export async function* historyLines(history: Uint8Array | null): AsyncGenerator<Uint8Array> {
  if (history === null) return;
  const slice = new TimeSlice();
  for (let start = 0; start < history.length;) {
    if (slice.isOver) await slice.next();
    // No worker writes empty lines, but an imported file may contain millions.
    const empty = start + EMPTY_LINES_PER_CHECK;
    while (history[start] === NEWLINE && start < empty) start++;
    const newline = history.indexOf(NEWLINE, start);
    const end = newline < 0 ? history.length : newline;
    if (end > start) yield history.subarray(start, end);
    start = end + 1;
  }
}

export interface StoredEncoding {
  bytes: Uint8Array;
  /** The state that the bytes decode to, if it differs from the original. */
  roundedState: Float32Array | undefined;
}

export function encodeForStorage(
  state: Float32Array,
  { open, model: { codec, shape } }: { open: boolean; model: SessionModel },
): StoredEncoding {
  const bytes = encodeState(state, { codec: open ? "f32" : codec, shape });
  const exact = readStateHeader(bytes).codec === "f32";
  return { bytes, roundedState: exact ? undefined : decodeState(bytes) };
}

export interface ModelDescription {
  layers: number;
  width: number;
  headSize: number;
  /** Number of output rows. */
  vocabulary: number;
  /** How states of finished turns are stored. */
  codec: StateCodec;
  /** Size of such a state in bytes, header included. */
  storedBytes: number;
  /** Size of the state's numbers as float32 in bytes. */
  float32Bytes: number;
}

export function describeModel({ shape, vocabulary, codec }: SessionModel): ModelDescription {
  const { layers, width, headSize } = shape;
  return {
    layers,
    width,
    headSize,
    vocabulary,
    codec,
    storedBytes: stateBytes(codec, shape),
    float32Bytes: 4 * stateNumbers(shape),
  };
}

export function encodeReport(report: TurnReport): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ ...report, version: 1 }));
}

/**
 * Decodes a report.
 *
 * @throws InferenceError `state_damaged` for an unknown version
 */
export function decodeReport(bytes: Uint8Array): TurnReport {
  const { version, note, created, end } = JSON.parse(new TextDecoder().decode(bytes));
  if (version === 1) return { note, created, end };
  throw new InferenceError(
    "state_damaged",
    `Cannot read a report of version ${String(version)}: this worker supports version 1`,
    { param: "state_id" },
  );
}
