/**
 * The turn record: all that a session must know, besides the model's state, to carry on a
 * conversation exactly as if it had never stopped. Kept as JSON in the store's `turn` blob.
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
  /** Tokens to feed before anything else. */
  pending: readonly number[];
  /** Tokens that the state has absorbed. */
  processedTokens: number;
  /** Tokens sampled in the whole conversation: the position of the next random number. */
  position: number;
  seed: bigint;
  /** How often each token was sampled, decayed. */
  counts: ReadonlyMap<number, number>;
  /** Bytes of an open reply that were sampled and not shown. */
  undisplayedBytes: Uint8Array;
  /** Messages that are in the history and not here; `null`: none. */
  earlier: EarlierMessages | null;
  /** The latest messages; of an open turn, the last is the reply as far as it goes. */
  transcript: readonly TranscriptEntry[];
  /** Whether the last reply goes on a text as it stands: nothing but its own tokens ends it. */
  rawText?: boolean;
  /** The system message that the turn has for itself, and where in the whole transcript it is. */
  instructions?: Instructions;
}

export interface Instructions {
  /** Messages before it. */
  at: number;
  text: string;
}

export function encodeSnapshot(record: TurnSnapshot): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(storedFields(record)));
}

/** Names of the fields as they are stored. */
export type StoredField = keyof ReturnType<typeof storedFields>;

function storedFields(record: TurnSnapshot) {
  return {
    version: 1,
    pending: record.pending,
    absorbed: record.processedTokens,
    position: record.position,
    seed: record.seed.toString(),
    counts: [...record.counts],
    held: toHex(record.undisplayedBytes),
    earlier: record.earlier,
    transcript: record.transcript,
    plain: record.rawText,
    instructions: record.instructions,
  };
}

/** @throws InferenceError `state_damaged` for a record of another version. */
export function decodeSnapshot(bytes: Uint8Array): TurnSnapshot {
  // The store has compared checksums: what is not of this version is whole, and of another.
  return parseSnapshot(JSON.parse(new TextDecoder().decode(bytes)));
}

/** As {@linkcode decodeSnapshot}, of parsed JSON. */
// deno-lint-ignore no-explicit-any
export function parseSnapshot(json: any): TurnSnapshot {
  if (json?.version !== 1) {
    throw new InferenceError(
      "state_damaged",
      `Cannot read a turn of version ${String(json?.version)}: this worker reads 1`,
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
 * Returns a record without the first `count` messages of its transcript, which go to the history.
 *
 * @param hashes After each message of the transcript, see `PrefixIndex`.
 */
export function archiveTurn(
  record: TurnSnapshot,
  count: number,
  hashes: readonly string[],
): TurnSnapshot {
  if (count === 0) return record;
  return {
    ...record,
    earlier: { count: (record.earlier?.count ?? 0) + count, hash: hashes[count - 1] },
    transcript: record.transcript.slice(count),
  };
}

/** The whole conversation but for the instructions of its latest turn. */
export function visibleTranscript(
  earlier: readonly TranscriptEntry[],
  { transcript, instructions }: Pick<TurnSnapshot, "transcript" | "instructions">,
): TranscriptEntry[] {
  return [...earlier, ...transcript].filter((_, i) => i !== instructions?.at);
}

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

export interface StoredEncoding {
  bytes: Uint8Array;
  /** What the bytes stand for, where that is another state. */
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
  /** Rows of the head. */
  vocabulary: number;
  /** How states of finished turns are stored. */
  codec: StateCodec;
  /** Of such a state, its header included. */
  storedBytes: number;
  /** Of the state's numbers alone, as the engine holds them. */
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

/** @throws InferenceError `state_damaged` for a report of another version. */
export function decodeReport(bytes: Uint8Array): TurnReport {
  const { version, note, created, end } = JSON.parse(new TextDecoder().decode(bytes));
  if (version === 1) return { note, created, end };
  throw new InferenceError(
    "state_damaged",
    `Cannot read a report of version ${String(version)}: this worker reads 1`,
    { param: "state_id" },
  );
}
