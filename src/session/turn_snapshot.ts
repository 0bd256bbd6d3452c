/**
 * The turn record: all that a session must know, besides the model's state, to carry on a
 * conversation exactly as if it had never stopped. Kept as JSON in the store's `turn` blob.
 */

import { InferenceError } from "../core/errors.ts";
import { toHex } from "../core/hex.ts";
import type { TranscriptEntry } from "../prompt/chat_template.ts";
import type { EarlierMessages } from "./history.ts";

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
