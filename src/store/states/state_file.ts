/**
 * A stored state as one file, for moving it between stores.
 *
 * | bytes         | content                                        |
 * |---------------|------------------------------------------------|
 * | 0 to 8        | `RWKVSTAT`                                     |
 * | 8 to 10       | format version, u16, 1                         |
 * | 10 to 12      | zero                                           |
 * | 12 to 16      | bytes of the header, u32                       |
 * | 16 to 48      | SHA-256 of the header                          |
 * | 48 on         | the header, JSON; the bytes of turn, history and state |
 *
 * Integers are little-endian. The header contains the facts of a manifest, and size and SHA-256 of
 * each part. It contains no state id, because an id grants access to the conversation.
 */

import { InferenceError } from "../../core/errors.ts";
import { createHash } from "node:crypto";
import { toHex } from "../../core/hex.ts";
import { sha256 } from "../../core/sha256.ts";
import { joinInSlices } from "../../core/time_slice.ts";
import { identityOf, type ModelIdentity } from "./manifest.ts";

const MAGIC = "RWKVSTAT";
const VERSION = 1;
const PREFIX_BYTES = 48;

/** Maximum sizes that a reader accepts. */
export const FILE_LIMITS = {
  headerBytes: 16_384,
  turnBytes: 8 * 1024 * 1024,
  historyBytes: 64 * 1024 * 1024,
  stateBytes: 1024 ** 3,
} as const;

/** Maximum bytes of a file besides its parts. */
export const OVERHEAD_BYTES = PREFIX_BYTES + FILE_LIMITS.headerBytes;

/** Maximum characters of a name in the header. */
const NAME_LENGTH = 1024;
/** The latest time of a `Date`. */
const LAST_TIME = 8.64e15;

/** A stored state with its turn and transcript. */
export interface StateFile {
  /** The model that wrote it. */
  model: ModelIdentity;
  /** Epoch milliseconds. */
  created: number;
  /** Whether the reply is unfinished. */
  open: boolean;
  /** The turn, as JSON. */
  turn: Uint8Array;
  /** The transcript before this turn; `null` for the first turn. */
  history: Uint8Array | null;
  /** The output of `encodeState`; `null` for the state before any token. */
  state: Uint8Array | null;
}

/** The facts in the header. */
export interface StateFileFacts extends Pick<StateFile, "model" | "created" | "open"> {
  /** Bytes of the turn. */
  turnBytes: number;
  /** Bytes of the transcript before it. */
  historyBytes: number;
  /** `null` for the state before any token. */
  stateBytes: number | null;
}

interface Part {
  bytes: number;
  /** Lower-case hexadecimal. */
  sha256: string;
}

interface Header extends Pick<StateFile, "model" | "created" | "open"> {
  turn: Part;
  history: Part | null;
  state: Part | null;
}

/** Returns the pieces of a file in order. The parts are not copied. */
export async function encodeStateFile(
  { model, created, open, turn, history, state }: StateFile,
): Promise<Uint8Array[]> {
  const header: Header = {
    model: identityOf(model),
    created,
    open,
    turn: await partOf(turn),
    history: history && await partOf(history),
    state: state && await partOf(state),
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const first = new Uint8Array(PREFIX_BYTES + json.length);
  const prefix = new DataView(first.buffer);
  first.set(new TextEncoder().encode(MAGIC));
  prefix.setUint16(8, VERSION, true);
  prefix.setUint32(12, json.length, true);
  first.set(await sha256(json), 16);
  first.set(json, PREFIX_BYTES);
  return [first, turn, history ?? [], state ?? []].flat();
}

/**
 * Reads an untrusted file within limits and to its end.
 *
 * @param options.accept Called with the facts in the header before the parts are read; may throw.
 * @throws InferenceError `invalid_state_file`, with the header field if there is one, or
 * `payload_too_large`. Errors of `chunks` and `accept` pass through.
 */
export async function decodeStateFile(
  chunks: AsyncIterable<Uint8Array>,
  { accept = () => {} }: { accept?: (facts: StateFileFacts) => void } = {},
): Promise<StateFile> {
  const reader = new PieceReader(chunks);
  try {
    const { model, created, open, turn, history, state } = await readStateHeader(reader);
    accept({
      model,
      created,
      open,
      turnBytes: turn.bytes,
      historyBytes: history?.bytes ?? 0,
      stateBytes: state && state.bytes,
    });
    const file = {
      model,
      created,
      open,
      turn: await readPart(reader, turn, "turn"),
      history: history && await readPart(reader, history, "history"),
      state: state && await readPart(reader, state, "state"),
    };
    if ((await reader.read(1)).length > 0) throw invalid("it has data after its last part");
    return file;
  } finally {
    await reader.close();
  }
}

async function readStateHeader(reader: PieceReader): Promise<Header> {
  const bytes = await reader.read(PREFIX_BYTES);
  if (bytes.length < PREFIX_BYTES) {
    throw invalid(
      `it has ${bytes.length} bytes, fewer than the ${PREFIX_BYTES} before the header`,
    );
  }
  const prefix = new DataView(bytes.buffer, bytes.byteOffset);
  const magic = new TextDecoder("latin1").decode(bytes.subarray(0, MAGIC.length));
  if (magic !== MAGIC) throw invalid(`it does not begin with ${MAGIC}`);
  const version = prefix.getUint16(8, true);
  if (version !== VERSION) {
    throw invalid(`its format version is ${version} and this worker reads ${VERSION}`);
  }
  if (prefix.getUint16(10, true) !== 0) throw invalid("bytes 10 and 11 are not zero");
  const length = prefix.getUint32(12, true);
  if (length > FILE_LIMITS.headerBytes) {
    throw invalid(`its header has ${length} bytes; the maximum is ${FILE_LIMITS.headerBytes}`);
  }
  const json = await reader.read(length);
  if (json.length < length) throw invalid(`it ends in its header of ${length} bytes`);
  if (toHex(await sha256(json)) !== toHex(bytes.subarray(16))) {
    throw invalid("the checksum of its header differs");
  }
  return parseHeader(json);
}

function parseHeader(json: Uint8Array): Header {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (cause) {
    throw invalid("its header is not JSON", { cause });
  }
  const { model, created, open, turn, history, state } = fields(value, "header");
  const { id, fingerprint, vocabularyHash, quant } = fields(model, "header.model");
  return {
    model: {
      id: nameIn(id, "header.model.id"),
      fingerprint: nameIn(fingerprint, "header.model.fingerprint"),
      ...(vocabularyHash === undefined
        ? {}
        : { vocabularyHash: nameIn(vocabularyHash, "header.model.vocabularyHash") }),
      ...(quant === undefined ? {} : { quant: nameIn(quant, "header.model.quant") }),
    },
    created: wholeIn(created, "header.created", LAST_TIME),
    open: typeof open === "boolean" ? open : wrong("header.open", "must be true or false"),
    turn: partIn(turn, "turn"),
    history: history === null ? null : partIn(history, "history"),
    state: state === null ? null : partIn(state, "state"),
  };
}

function partIn(value: unknown, name: "turn" | "history" | "state"): Part {
  const { bytes, sha256 } = fields(value, `header.${name}`);
  const length = wholeIn(bytes, `header.${name}.bytes`, Number.MAX_SAFE_INTEGER);
  const max = FILE_LIMITS[`${name}Bytes`];
  if (length > max) {
    throw new InferenceError(
      "payload_too_large",
      `Cannot read a state file: its ${name} has ${length} bytes; the maximum is ${max}`,
      { param: `header.${name}.bytes` },
    );
  }
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
    return wrong(`header.${name}.sha256`, "must be 64 hexadecimal digits in lower case");
  }
  return { bytes: length, sha256 };
}

function fields(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  return wrong(name, "must be an object");
}

function nameIn(value: unknown, name: string): string {
  if (typeof value === "string" && value.length <= NAME_LENGTH) return value;
  return wrong(name, `must be a string of at most ${NAME_LENGTH} characters`);
}

function wholeIn(value: unknown, name: string, max: number): number {
  if (Number.isSafeInteger(value) && value as number >= 0 && value as number <= max) {
    return value as number;
  }
  return wrong(name, `must be a whole number from 0 to ${max}`);
}

async function readPart(
  reader: PieceReader,
  { bytes, sha256: expected }: Part,
  name: string,
): Promise<Uint8Array> {
  const hash = createHash("sha256");
  const part = await reader.read(bytes, (piece) => hash.update(piece));
  if (part.length < bytes) {
    throw invalid(`it ends after ${part.length} of the ${bytes} bytes of its ${name}`);
  }
  if (hash.digest("hex") !== expected) throw invalid(`the checksum of its ${name} differs`);
  return part;
}

/** Reads pieces of given lengths from a stream. */
class PieceReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  /** Unread part of the last chunk. */
  #rest = new Uint8Array();
  #ended = false;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /**
   * Reads `length` bytes, or fewer at the end. Memory is allocated only for bytes that arrived.
   *
   * @param onPiece Called with each piece as it arrives.
   */
  async read(
    length: number,
    onPiece: (piece: Uint8Array) => void = () => {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    const pieces: Uint8Array[] = [];
    let filled = 0;
    while (filled < length && await this.#fill()) {
      const piece = this.#rest.subarray(0, length - filled);
      onPiece(piece);
      pieces.push(piece);
      filled += piece.length;
      this.#rest = this.#rest.subarray(piece.length);
    }
    return await joinInSlices(pieces);
  }

  /** Closes the stream, so that its source stops sending. */
  async close(): Promise<void> {
    if (!this.#ended) await this.#chunks.return?.();
  }

  /** Reads the next chunk if necessary. Returns whether there is a byte to read. */
  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0 && !this.#ended) {
      this.#ended = true; // also when this throws
      const next = await this.#chunks.next();
      if (next.done) break;
      this.#ended = false;
      this.#rest = next.value as Uint8Array<ArrayBuffer>;
    }
    return this.#rest.length > 0;
  }
}

async function partOf(bytes: Uint8Array): Promise<Part> {
  return { bytes: bytes.length, sha256: toHex(await sha256(bytes)) };
}

function wrong(field: string, what: string): never {
  throw invalid(`${field} ${what}`, { param: field });
}

function invalid(what: string, options: { param?: string; cause?: unknown } = {}): InferenceError {
  return new InferenceError("invalid_state_file", `Cannot read a state file: ${what}`, options);
}
