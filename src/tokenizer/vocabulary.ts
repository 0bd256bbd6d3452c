/**
 * Vocabularies: which bytes each token id stands for. The World format has a line `id literal length`
 * for each token, its literal written as Python writes a str or bytes.
 */

import { InferenceError } from "../core/errors.ts";

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

/** Characters of its literal: `\U00000041` is one byte. */
const MAX_LITERAL = 10 * MAX_TOKEN_BYTES + 3;

/** The built-in vocabulary `bytes`: ids are bytes, so 0 is byte 0 and no id ends a text. */
export const BYTES: Vocabulary = {
  name: "bytes",
  tokens: new Map(Array.from({ length: 256 }, (_, byte) => [byte, Uint8Array.of(byte)])),
  endOfText: null,
};

/**
 * Reads a vocabulary in the World format. Id 0 is the end of text: it is usually not listed, and has
 * no bytes whatever its line says.
 *
 * @param text The whole file; lines end in `\n` or `\r\n`, and the last ones may be empty.
 * @param name What messages call it.
 * @throws InferenceError `invalid_vocabulary` that names the line, for one that is malformed, whose
 * length is not that of its literal in UTF-8, or whose id or bytes another line has.
 */
export function parseVocabulary(text: string, name: string): Vocabulary {
  const tokens = new Map<number, Uint8Array>();
  const lineOfBytes = new Map<string, number>();
  const lines = text.replace(/^\ufeff/, "").split("\n");
  while (lines.at(-1)?.trim() === "") lines.pop();
  lines.forEach((line, index) => {
    const fail = (problem: string) => {
      const shown = line.length > 80 ? `${line.slice(0, 80)}…` : line;
      return new InferenceError(
        "invalid_vocabulary",
        `${name}, line ${index + 1}: ${problem} in ${JSON.stringify(shown)}: ` +
          "each line is `id literal length`, as in `33155 'Hello' 5`",
      );
    };
    const parts = /^(\d{1,9}) (.*) (\d{1,9})\r?$/s.exec(line);
    if (!parts) throw fail("no id, literal and length");
    const id = Number(parts[1]);
    if (id >= MAX_ID) throw fail(`the id ${id} is not in 0 to ${MAX_ID - 1}`);
    if (tokens.has(id)) throw fail(`the id ${id} of an earlier line`);
    const size = `a token that has not 1 to ${MAX_TOKEN_BYTES} bytes`;
    if (parts[2].length > MAX_LITERAL) throw fail(size);
    const bytes = parseLiteral(parts[2]);
    if (!bytes) throw fail("no literal of a Python str or bytes");
    if (bytes.length !== Number(parts[3])) throw fail(`a literal of ${bytes.length} bytes`);
    if (bytes.length === 0 || bytes.length > MAX_TOKEN_BYTES) {
      throw fail(size);
    }
    if (id === 0) return;
    const key = String.fromCharCode(...bytes);
    const earlier = lineOfBytes.get(key);
    if (earlier !== undefined) throw fail(`the same bytes as on line ${earlier}`);
    lineOfBytes.set(key, index + 1);
    tokens.set(id, bytes);
  });
  if (tokens.size === 0) {
    throw new InferenceError(
      "invalid_vocabulary",
      `${name}: it has no tokens: use the vocabulary file that came with the model`,
    );
  }
  return { name, tokens, endOfText: 0 };
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  "\\": "\\",
  "'": "'",
  '"': '"',
};

const utf8 = new TextEncoder();

/** The bytes of a literal as `repr` writes it, in UTF-8 for a str; `null` for anything else. */
function parseLiteral(literal: string): Uint8Array | null {
  const parts = /^(b?)(['"])(.*)\2$/s.exec(literal);
  if (!parts) return null;
  const [, kind, quote, body] = parts;
  const isBytes = kind === "b";
  let valid = true;
  const value = body.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))|['"]/gs,
    (match, x?: string, u?: string, U?: string, simple?: string) => {
      const code = x ?? u ?? U;
      if (code !== undefined) {
        const point = parseInt(code, 16);
        if (point <= (isBytes && x === undefined ? -1 : 0x10ffff)) {
          return String.fromCodePoint(point);
        }
      } else if (simple === undefined && match !== quote) {
        return match;
      } else if (simple !== undefined && Object.hasOwn(SIMPLE_ESCAPES, simple)) {
        return SIMPLE_ESCAPES[simple];
      }
      valid = false;
      return "";
    },
  );
  if (!valid || !value.isWellFormed()) return null;
  if (!isBytes) return utf8.encode(value);
  const bytes = Uint8Array.from(value, (c) => c.charCodeAt(0));
  return /\P{ASCII}/u.test(body) ? null : bytes;
}
