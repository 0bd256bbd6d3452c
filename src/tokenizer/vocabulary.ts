/**
 * Parses vocabularies, which map token ids to bytes. The World format has a line `id literal length` per
 * token, with a Python literal of a str or bytes. Two other formats are supported: one literal per line,
 * where the line number is the id, and a JSON object.
 */

import { InferenceError } from "../core/errors.ts";
import { parseLiteral } from "./python_literal.ts";

/** Tokens and their ids. */
export interface Vocabulary {
  /** Name in error messages, usually the file's path. */
  readonly name: string;
  /** Bytes by id, distinct and not empty. Ids can have gaps. */
  readonly tokens: ReadonlyMap<number, Uint8Array>;
  /** End-of-text id, which has no bytes (0 in the World format), or `null`. */
  readonly endOfText: number | null;
}

/** Exclusive upper bound of ids: ten times the largest vocabulary in use, at little memory. */
const MAX_ID = 2 ** 20;
/** The longest token of the World vocabulary has 128 bytes. */
const MAX_TOKEN_BYTES = 4096;

const BAD_SIZE = `a token outside 1 to ${MAX_TOKEN_BYTES} bytes`;

/** Maximum characters of a literal: an escape such as `\U00000041` is one byte. */
const MAX_LITERAL = 10 * MAX_TOKEN_BYTES + 3;

/** The built-in vocabulary `bytes`. Ids are bytes, so there is no end-of-text id. */
export const BYTE_VOCABULARY: Vocabulary = {
  name: "bytes",
  tokens: new Map(Array.from({ length: 256 }, (_, byte) => [byte, Uint8Array.of(byte)])),
  endOfText: null,
};

/**
 * Parses a vocabulary in any of the three formats; the first characters decide. Id 0 is the end of text.
 * The World format usually omits it, and any bytes that a file gives it are ignored.
 *
 * @param text The whole file, with lines ending in `\n` or `\r\n`.
 * @param name Name in error messages.
 * @throws InferenceError `invalid_vocabulary` with the line or entry if it is malformed, states a wrong
 * length, or repeats an id or bytes.
 */
export function parseVocabulary(text: string, name: string): Vocabulary {
  const plain = text.replace(/^\ufeff/, "");
  const list = new TokenList(name);
  if (/^\s*\{/.test(plain)) readJson(plain, list);
  else {
    const lines = plain.split("\n");
    while (lines.at(-1)?.trim() === "") lines.pop();
    if (/^b?['"]/.test(lines[0] ?? "")) readLiterals(lines, list);
    else readWorld(lines, list);
  }
  if (list.tokens.size === 0) {
    throw list.error("it has no tokens: use the vocabulary file that came with the model");
  }
  return { name, tokens: list.tokens, endOfText: 0 };
}

/** Collects tokens and creates errors. */
class TokenList {
  readonly tokens = new Map<number, Uint8Array>();
  readonly #name: string;
  readonly #placeOfBytes = new Map<string, string>();

  constructor(name: string) {
    this.#name = name;
  }

  error(problem: string, cause?: unknown): InferenceError {
    return new InferenceError("invalid_vocabulary", `${this.#name}: ${problem}`, { cause });
  }

  /**
   * Returns a function that creates the error of a problem in a line or entry.
   *
   * @param place Name of the line or entry; `shown` is its text.
   * @param form The expected form.
   */
  failures(place: string, shown: string, form: string): (problem: string) => InferenceError {
    return (problem) => {
      const short = shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
      return new InferenceError(
        "invalid_vocabulary",
        `${this.#name}, ${place}: ${problem} in ${JSON.stringify(short)}: ${form}`,
      );
    };
  }

  /** Adds the token of a line or entry; `fail` creates its errors. */
  add(
    id: number,
    bytes: Uint8Array,
    { place, fail }: { place: string; fail: (problem: string) => InferenceError },
  ): void {
    if (bytes.length === 0 || bytes.length > MAX_TOKEN_BYTES) throw fail(BAD_SIZE);
    if (id === 0) return;
    const key = String.fromCharCode(...bytes);
    const earlier = this.#placeOfBytes.get(key);
    if (earlier !== undefined) throw fail(`the same bytes as ${earlier}`);
    this.#placeOfBytes.set(key, place);
    this.tokens.set(id, bytes);
  }
}

/** Reads lines `id literal length`. */
function readWorld(lines: readonly string[], list: TokenList): void {
  lines.forEach((line, index) => {
    const place = `line ${index + 1}`;
    const fail = list.failures(
      place,
      line,
      "each line is `id literal length`, as in `33155 'Hello' 5`",
    );
    const parts = /^(\d{1,9}) (.*) (\d{1,9})\r?$/s.exec(line);
    if (!parts) throw fail("no id, literal and length");
    const id = Number(parts[1]);
    if (id >= MAX_ID) throw fail(`the id ${id} is not in 0 to ${MAX_ID - 1}`);
    if (list.tokens.has(id)) throw fail(`the id ${id} of an earlier line`);
    if (parts[2].length > MAX_LITERAL) throw fail(BAD_SIZE);
    const bytes = parseLiteral(parts[2]);
    if (!bytes) throw fail("no literal of a Python str or bytes");
    if (bytes.length !== Number(parts[3])) throw fail(`a literal of ${bytes.length} bytes`);
    list.add(id, bytes, { place: `on ${place}`, fail });
  });
}

/** Reads one literal per line, the first of them end of text: the vocab.txt of Hugging Face's port. */
function readLiterals(lines: readonly string[], list: TokenList): void {
  lines.forEach((line, id) => {
    const place = `line ${id + 1}`;
    const fail = list.failures(
      place,
      line,
      "each line is a literal of a Python str or bytes, and its id is the number of lines before " +
        "it; the first line is '<s>', the end of text",
    );
    if (id >= MAX_ID) throw fail(`more than ${MAX_ID} lines`);
    if (line.length > MAX_LITERAL) throw fail(BAD_SIZE);
    const bytes = parseLiteral(line.trim());
    if (!bytes) throw fail("no literal");
    // Without that line, it is ambiguous whether the first token has id 0 or 1.
    if (id === 0 && !END_OF_TEXT.test(new TextDecoder().decode(bytes))) {
      throw fail("no end of text");
    }
    list.add(id, bytes, { place: `on ${place}`, fail });
  });
}

/** Names of the end-of-text token in files. */
const END_OF_TEXT = /^<\/?s>$|^<\|?(endoftext|eos|rwkv_tokenizer_end_of_text)\|?>$/;

/** Reads `{"1": "\u0000", "129": [128]}`, the format of web-rwkv, Ai00 and RWKV-Runner. */
function readJson(text: string, list: TokenList): void {
  let entries: [string, unknown][];
  try {
    entries = Object.entries(JSON.parse(text));
  } catch (cause) {
    throw list.error(
      `it is not JSON (${(cause as Error).message}): download the vocabulary again`,
      cause,
    );
  }
  for (const [key, value] of entries) {
    const place = `entry ${JSON.stringify(key.slice(0, 80))}`;
    const fail = list.failures(
      place,
      JSON.stringify(value).slice(0, 100),
      'each entry is an id with a text or its bytes, as in `"33155": "Hello"` or `"129": [128]`; ' +
        "use the vocabulary file that came with the model",
    );
    const id = /^\d{1,9}$/.test(key) ? Number(key) : NaN;
    if (!(id < MAX_ID)) throw fail(`a key that is not an id from 0 to ${MAX_ID - 1}`);
    const bytes = jsonBytes(value);
    if (!bytes) throw fail("neither text nor bytes");
    list.add(id, bytes, { place: `in ${place}`, fail });
  }
}

function jsonBytes(value: unknown): Uint8Array | null {
  if (typeof value === "string") {
    return value.isWellFormed() ? new TextEncoder().encode(value) : null;
  }
  const isByte = (n: unknown) => Number.isInteger(n) && (n as number) >= 0 && (n as number) < 256;
  return Array.isArray(value) && value.every(isByte) ? Uint8Array.from(value) : null;
}
