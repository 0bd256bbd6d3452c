/** Text to token ids and back: greedy longest match over UTF-8 bytes. */

import { InferenceError } from "../core/errors.ts";
import { Trie } from "./trie.ts";
import type { Vocabulary } from "./vocabulary.ts";

const utf8 = new TextEncoder();
const NO_BYTES = new Uint8Array();

/** Immutable; one serves any number of conversations. */
export class Tokenizer {
  /** The largest id and one: no id of the vocabulary is as large. */
  readonly size: number;
  /** Id that ends a text and has no bytes, or `null`. */
  readonly endOfText: number | null;
  readonly #name: string;
  readonly #tokens: ReadonlyMap<number, Uint8Array>;
  readonly #trie: Trie;

  /** A tokenizer of a vocabulary, whose tokens must not change. */
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
   * Ids of a text. Lone surrogates, which have no UTF-8, are read as U+FFFD.
   *
   * @param most Where there are more, only the first ones are given, one more than `most`.
   * @throws InferenceError `invalid_value` where the vocabulary has no token for a byte.
   */
  encode(text: string, most = Infinity): number[] {
    return this.encodeBytes(utf8.encode(text), most);
  }

  /**
   * As {@linkcode Tokenizer.encode}, of bytes that need not be UTF-8. Never gives the end of text.
   *
   * @throws InferenceError `invalid_value` where the vocabulary has no token for a byte.
   */
  encodeBytes(bytes: Uint8Array, most = Infinity): number[] {
    const ids: number[] = [];
    for (let at = 0; at < bytes.length && ids.length <= most;) {
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
   * Bytes of a sequence of ids. They may end, or even start, within a character: see `TextStream`.
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
          `Cannot decode the token id ${id}: the vocabulary ${this.#name} does not have it; ` +
            `its ids are below ${this.size}`,
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

  /** Bytes of one token, none for the end of text; `undefined` for an id without a token. */
  tokenBytes(id: number): Uint8Array | undefined {
    return id === this.endOfText ? NO_BYTES : this.#tokens.get(id);
  }
}
