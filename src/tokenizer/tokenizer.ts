/** Encodes text to token ids by greedy longest match over UTF-8 bytes, and decodes them. */

import { InferenceError } from "../core/errors.ts";
import { Trie } from "./trie.ts";
import type { Vocabulary } from "./vocabulary.ts";

const utf8 = new TextEncoder();
const NO_BYTES = new Uint8Array();

/** Immutable, so all conversations share one instance. */
export class Tokenizer {
  /** Largest id plus one. */
  readonly size: number;
  /** End-of-text id, which has no bytes, or `null`. */
  readonly endOfText: number | null;
  readonly #name: string;
  readonly #tokens: ReadonlyMap<number, Uint8Array>;
  readonly #trie: Trie;

  /** Creates a tokenizer. The vocabulary must not change afterwards. */
  constructor(vocabulary: Vocabulary) {
    const { name, tokens, endOfText } = vocabulary;
    this.#name = name;
    this.#tokens = tokens;
    this.#trie = new Trie(tokens);
    this.endOfText = endOfText;
    let largest = endOfText ?? -1;
    for (const id of tokens.keys()) largest = Math.max(largest, id);
    this.size = largest + 1;
  }

  /**
   * Encodes a text. Lone surrogates, which UTF-8 cannot represent, become U+FFFD.
   *
   * @param limit Stops after `limit + 1` ids, so that callers can detect a text that is too long.
   * @throws InferenceError `invalid_value` if the vocabulary has no token for a byte.
   */
  encode(text: string, limit = Infinity): number[] {
    return this.encodeBytes(utf8.encode(text), limit);
  }

  /**
   * Encodes bytes, which need not be valid UTF-8. Never returns the end-of-text id.
   *
   * @throws InferenceError `invalid_value` if the vocabulary has no token for a byte.
   */
  encodeBytes(bytes: Uint8Array, limit = Infinity): number[] {
    const ids: number[] = [];
    for (let at = 0; at < bytes.length && ids.length <= limit;) {
      const id = this.#trie.longestMatch(bytes, at);
      if (id < 0) {
        throw new InferenceError(
          "invalid_value",
          `Cannot tokenize byte 0x${bytes[at].toString(16).padStart(2, "0")} at offset ${at}: ` +
            `the vocabulary ${this.#name} has no token for it; remove that character`,
        );
      }
      ids.push(id);
      at += this.#tokens.get(id)!.length;
    }
    return ids;
  }

  /**
   * Returns the bytes of a sequence of ids. They can start or end within a character; see `TextStream`.
   *
   * @throws InferenceError `invalid_value` for an id that the vocabulary does not have.
   */
  decode(ids: Iterable<number>): Uint8Array<ArrayBuffer> {
    const parts: Uint8Array[] = [];
    let length = 0;
    for (const id of ids) {
      const part = this.tokenBytes(id);
      if (!part) {
        throw new InferenceError(
          "invalid_value",
          `Cannot decode the token id ${id}: the vocabulary ${this.#name} does not contain it; ` +
            `use ids below ${this.size}`,
        );
      }
      parts.push(part);
      length += part.length;
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** Returns the bytes of a token, none for end of text, or `undefined` for an id without a token. */
  tokenBytes(id: number): Uint8Array | undefined {
    return id === this.endOfText ? NO_BYTES : this.#tokens.get(id);
  }
}
