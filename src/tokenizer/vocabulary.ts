/**
 * Vocabularies: which bytes each token id stands for. The World format has a line `id literal length`
 * for each token, its literal written as Python writes a str or bytes. Two other forms of the same
 * vocabulary are read as well: a literal a line, whose line number is the id, and a JSON object.
 */

import { InferenceError } from "../core/errors.ts";
import { parseLiteral } from "./python_literal.ts";

/** Tokens and their ids. */
export interface Vocabulary {
  /** What messages call it, usually the file's path. */
  readonly name: string;
  /** Bytes by id; at least one byte each, no two alike. Ids may have gaps. */
  readonly tokens: ReadonlyMap<number, Uint8Array>;
  /** Id that ends a text and has no bytes, 0 in the World format; `null` without one. */
  readonly endOfText: number | null;
}

/** Ids are below this: ten times the largest vocabulary in use, and no memory to speak of. */
const MAX_ID = 2 ** 20;
/** The longest token of the World vocabulary has 128 bytes. */
const MAX_TOKEN_BYTES = 4096;

const BAD_SIZE = `a token that has not 1 to ${MAX_TOKEN_BYTES} bytes`;

/** Characters of its literal: `\U00000041` is one byte. */
const MAX_LITERAL = 10 * MAX_TOKEN_BYTES + 3;

/** The built-in vocabulary `bytes`: ids are bytes, so 0 is byte 0 and no id ends a text. */
export const BYTE_VOCABULARY: Vocabulary = {
  name: "bytes",
  tokens: new Map(Array.from({ length: 256 }, (_, byte) => [byte, Uint8Array.of(byte)])),
  endOfText: null,
};

/**
 * Reads a vocabulary in any of the three forms, which its first characters tell apart. Id 0 is the end
 * of text: the World format usually does not list it, and it has no bytes whatever the file says.
 *
 * @param text The whole file; lines end in `\n` or `\r\n`, and the last ones may be empty.
 * @param name What messages call it.
 * @throws InferenceError `invalid_vocabulary` that names the line or the entry, for one that is
 * malformed, whose length is not that of its literal in UTF-8, or whose id or bytes another one has.
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
    throw list.refuse("it has no tokens: use the vocabulary file that came with the model");
  }
  return { name, tokens: list.tokens, endOfText: 0 };
}

/** Tokens as they are read. */
class TokenList {
  readonly tokens = new Map<number, Uint8Array>();
  readonly #name: string;
  readonly #placeOfBytes = new Map<string, string>();

  constructor(name: string) {
    this.#name = name;
  }

  refuse(problem: string, cause?: unknown): InferenceError {
    return new InferenceError("invalid_vocabulary", `${this.#name}: ${problem}`, { cause });
  }

  /**
   * Returns a function that makes the error of a problem at a place of the file.
   *
   * @param place What the line or entry is called; `shown` is its text.
   * @param form What it should look like.
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

  /** Adds the token of the line or entry called `place`; `fail` makes its errors. */
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

/** Lines `id literal length`. */
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

/** A literal a line, the first one of which is the end of text: the vocab.txt of Hugging Face's port. */
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
    // Without that line, whether the first token has id 0 or 1 would be a guess.
    if (id === 0 && !END_OF_TEXT.test(new TextDecoder().decode(bytes))) {
      throw fail("no end of text");
    }
    list.add(id, bytes, { place: `on ${place}`, fail });
  });
}

/** What a file calls the token that ends a text. */
const END_OF_TEXT = /^<\/?s>$|^<\|?(endoftext|eos|rwkv_tokenizer_end_of_text)\|?>$/;

/** `{"1": "\u0000", "129": [128]}`, the form of web-rwkv, Ai00 and RWKV-Runner. */
function readJson(text: string, list: TokenList): void {
  let entries: [string, unknown][];
  try {
    entries = Object.entries(JSON.parse(text));
  } catch (cause) {
    throw list.refuse(
      `it is no JSON (${(cause as Error).message}): fetch the vocabulary again`,
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
    if (!(id < MAX_ID)) throw fail(`a key that is no id in 0 to ${MAX_ID - 1}`);
    const bytes = jsonBytes(value);
    if (!bytes) throw fail("no text and no bytes");
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
