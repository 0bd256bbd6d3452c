/** Incremental UTF-8 decoding: a character is emitted once all of its bytes have arrived. */

/**
 * Decodes UTF-8 incrementally. The concatenated results of `push` and `flush` equal the output of one
 * `TextDecoder` for all bytes: invalid bytes become U+FFFD, and a byte order mark is preserved.
 */
export class TextStream {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** Adds bytes and returns the characters that they complete, if any. */
  push(bytes: Uint8Array): string {
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** Ends the text: returns U+FFFD for an incomplete character. The stream can be reused. */
  flush(): string {
    return this.#decoder.decode();
  }
}
