/**
 * Validates untrusted turn snapshots and histories. Every field must have a value that a worker
 * could have written; otherwise the error names the field. Validation stops at the first invalid
 * value, so a large invalid snapshot is cheap to reject.
 */

import { InferenceError } from "../core/errors.ts";
import { checkJsonComplexity } from "../core/json_complexity.ts";
import { TimeSlice } from "../core/time_slice.ts";
import type { Role, TranscriptEntry } from "../prompt/chat_template.ts";
import { historyLines, parseSnapshot, type StoredField, type TurnSnapshot } from "./stored_turn.ts";
import { DEFAULT_LIMITS } from "./session_limits.ts";

/** What a snapshot is validated against. */
export interface SnapshotContext {
  /** Upper bound of token ids, exclusive. */
  vocabulary: number;
  /** Whether the reply is unfinished. */
  open: boolean;
  /** Whether the file has no state, so that the turn starts before any token. */
  isInitialState: boolean;
}

/** Token counts stay safe integers when a conversation continues from this maximum. */
const MAX_TOKENS = Number.MAX_SAFE_INTEGER - 2 ** 40;
/** Adding 1 to a float32 has no effect from this value on. */
const MAX_COUNT = 2 ** 24;
/** Maximum number of messages of a history: about 30,000 turns. */
export const MAX_MESSAGES = 65_536;
/** Maximum number of messages of one turn, more than its prompt tokens could encode. */
export const MAX_TURN_MESSAGES = 16_384;
/** Maximum JSON size of one message: the longest prompt of the longest tokens. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** A message is an object with two strings. */
const MESSAGE_LIMITS = { maxValues: 16, maxDepth: 4 } as const;
/** The counts of a vocabulary of 65,536 tokens, the longest prompt and the maximum of messages. */
const SNAPSHOT_LIMITS = { maxValues: 300_000, maxDepth: Infinity } as const;
/** More than an incomplete character or a possible beginning of the end of a turn. */
const MAX_UNDISPLAYED_BYTES = 64;

const ROLES: Record<Role, true> = { system: true, developer: true, user: true, assistant: true };

type Check = (value: unknown, context: SnapshotContext) => void;

/** Checks by stored field. The type requires a check for every new field. */
const CHECKS: Record<StoredField, Check> = {
  version: (value) => {
    if (value !== 1) throw invalid("version", value, "1");
  },
  pending: (value, { vocabulary, open }) => {
    // Messages that wait for a reply are pending, too.
    const ids = asList("pending", value, DEFAULT_LIMITS.promptTokens);
    if (open && ids.length === 0) {
      throw invalid("pending", value, "at least one token, as the turn is open");
    }
    ids.forEach((id, i) => checkToken(`pending[${i}]`, id, vocabulary));
  },
  absorbed: (value, { isInitialState }) => {
    checkInteger("absorbed", value, MAX_TOKENS);
    if (isInitialState && value !== 0) {
      throw invalid("absorbed", value, "0, as the file has no state");
    }
  },
  position: (value) => checkInteger("position", value, MAX_TOKENS),
  seed: (value) => {
    if (typeof value !== "string" || !/^\d{1,20}$/.test(value) || BigInt(value) >= 2n ** 64n) {
      throw invalid("seed", value, `a whole number from 0 to ${2n ** 64n - 1n} as text`);
    }
  },
  counts: (value, { vocabulary }) => {
    const seen = new Set<unknown>();
    asList("counts", value, vocabulary).forEach((pair, i) => {
      if (!Array.isArray(pair) || pair.length !== 2) {
        throw invalid(`counts[${i}]`, pair, "a pair of a token id and a count");
      }
      const [id, count] = pair;
      checkToken(`counts[${i}][0]`, id, vocabulary);
      if (seen.has(id)) throw invalid(`counts[${i}][0]`, id, "an id that does not occur before");
      seen.add(id);
      const validCount = typeof count === "number" && count >= 0 && count <= MAX_COUNT;
      if (!validCount || Object.is(count, -0)) {
        throw invalid(`counts[${i}][1]`, count, `a number from 0 to ${MAX_COUNT}`);
      }
    });
  },
  held: (value) => {
    const valid = typeof value === "string" && value.length <= 2 * MAX_UNDISPLAYED_BYTES &&
      /^([0-9a-f]{2})*$/.test(value);
    if (!valid) {
      throw invalid(
        "held",
        value,
        `at most ${MAX_UNDISPLAYED_BYTES} bytes in lower-case hexadecimal`,
      );
    }
  },
  earlier: (value) => {
    if (value === null) return;
    const earlier = asObject("earlier", value);
    assertNoOtherFields("earlier", earlier, { count: true, hash: true });
    checkInteger("earlier.count", earlier.count, MAX_TOKENS);
    // The hash is computed again on import.
    if (typeof earlier.hash !== "string") throw invalid("earlier.hash", earlier.hash, "a string");
  },
  plain: (value) => {
    if (value !== undefined && value !== true) throw invalid("plain", value, "true, or missing");
  },
  instructions: (value) => {
    if (value === undefined) return;
    const instructions = asObject("instructions", value);
    assertNoOtherFields("instructions", instructions, { at: true, text: true });
    checkInteger("instructions.at", instructions.at, MAX_TOKENS);
    const { text } = instructions;
    if (typeof text !== "string") throw invalid("instructions.text", text, "a string");
  },
  transcript: (value, { open }) => {
    const entries = asList("transcript", value, MAX_TURN_MESSAGES);
    entries.forEach((entry, i) => checkEntry(`transcript[${i}]`, entry));
    const last = entries.at(-1) as TranscriptEntry | undefined;
    // A prefilled system prompt or messages that wait for a reply end without a reply.
    if (last?.role === "assistant" || (!open && last)) return;
    throw invalid("transcript", value, "a list that ends with the assistant's reply");
  },
};

/**
 * Parses and validates an untrusted snapshot.
 *
 * @throws InferenceError `invalid_state_file`
 */
export function checkSnapshot(bytes: Uint8Array, context: SnapshotContext): TurnSnapshot {
  const excess = checkJsonComplexity(bytes, SNAPSHOT_LIMITS);
  if (excess !== null) {
    throw new InferenceError(
      "invalid_state_file",
      `Cannot use a state file: its turn ${excess}`,
      { param: "turn" },
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new InferenceError(
      "invalid_state_file",
      "Cannot use a state file: its turn is not JSON",
      {
        param: "turn",
        cause,
      },
    );
  }
  const record = asObject("", value);
  assertNoOtherFields("", record, CHECKS);
  for (const [name, check] of Object.entries(CHECKS)) check(record[name], context);
  return parseSnapshot(record);
}

/**
 * Parses and validates an untrusted history in time slices.
 *
 * @param count Number of messages according to the snapshot.
 * @throws InferenceError `invalid_state_file`
 */
export async function checkHistory(
  bytes: Uint8Array | null,
  count: number,
): Promise<TranscriptEntry[]> {
  if (count > MAX_MESSAGES) {
    throw historyError(
      `its turn declares a history of ${count} messages, the limit is ${MAX_MESSAGES}`,
      "turn.earlier.count",
    );
  }
  const slice = new TimeSlice();
  const entries: TranscriptEntry[] = [];
  for await (const line of historyLines(bytes)) {
    if (entries.length === count) {
      throw historyError(
        `its history has more than the ${count} messages that its turn declares`,
        "turn.earlier.count",
      );
    }
    const entry = parseLine(line, entries.length);
    checkEntry(`earlier[${entries.length}]`, entry);
    entries.push(entry as TranscriptEntry);
    if (slice.isOver) await slice.next();
  }
  if (entries.length === count) return entries;
  throw historyError(
    `its history has ${entries.length} messages, but its turn declares ${count}`,
    "turn.earlier.count",
  );
}

function parseLine(line: Uint8Array, index: number): unknown {
  if (line.length > MAX_MESSAGE_BYTES) {
    throw historyError(
      `message ${index} of its history has ${line.length} bytes, the limit is ${MAX_MESSAGE_BYTES}`,
      "history",
    );
  }
  const excess = checkJsonComplexity(line, MESSAGE_LIMITS);
  if (excess !== null) throw historyError(`message ${index} of its history ${excess}`, "history");
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));
  } catch (cause) {
    throw historyError("its history is not lines of JSON", "history", cause);
  }
}

function historyError(what: string, param: string, cause?: unknown): InferenceError {
  const message = `Cannot use a state file: ${what}`;
  return new InferenceError("invalid_state_file", message, { param, cause });
}

function checkEntry(name: string, value: unknown): void {
  const entry = asObject(name, value);
  assertNoOtherFields(name, entry, { role: true, content: true });
  const { role, content } = entry;
  if (typeof role !== "string" || !Object.hasOwn(ROLES, role)) {
    throw invalid(`${name}.role`, role, `one of ${Object.keys(ROLES).join(", ")}`);
  }
  if (typeof content !== "string") throw invalid(`${name}.content`, content, "a string");
}

function checkToken(name: string, value: unknown, vocabulary: number): void {
  if (isNonNegativeInteger(value) && value < vocabulary) return;
  throw invalid(name, value, `a token id, a whole number from 0 to ${vocabulary - 1}`);
}

/** Excludes -0, which no worker writes. */
function isNonNegativeInteger(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0 && !Object.is(value, -0);
}

function checkInteger(name: string, value: unknown, max: number): void {
  if (isNonNegativeInteger(value) && value <= max) return;
  throw invalid(name, value, `a whole number from 0 to ${max}`);
}

function asList(name: string, value: unknown, max: number): unknown[] {
  if (!Array.isArray(value)) throw invalid(name, value, "a list");
  if (value.length > max) throw invalid(name, value, `a list of at most ${max}`);
  return value;
}

function asObject(name: string, value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(name, value, "an object");
  }
  return value as Record<string, unknown>;
}

/** Rejects unknown fields, because a later version might trust them. */
function assertNoOtherFields(name: string, value: object, known: object): void {
  const other = Object.keys(value).find((key) => !Object.hasOwn(known, key));
  if (other === undefined) return;
  throw invalid(name, value, `an object without ${JSON.stringify(other.slice(0, 40))}`);
}

function invalid(name: string, value: unknown, expected: string): InferenceError {
  const param = name === "" ? "turn" : `turn.${name}`;
  return new InferenceError(
    "invalid_state_file",
    `Cannot use a state file: ${param} is ${describeValue(value)}, and must be ${expected}`,
    { param },
  );
}

function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  return value === undefined ? "missing" : String(value);
}
