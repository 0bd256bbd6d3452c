/** Bytes that come in pieces, as text: a character is given out once all of it is there. */

/**
 * Decodes UTF-8 piece by piece. All that `push` and `flush` return, put together, is what one
 * `TextDecoder` would make of all the bytes: invalid ones become U+FFFD, a byte order mark stays.
 */
export class TextStream {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** The characters that `bytes` complete, which may be none. */
  push(bytes: Uint8Array): string {
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** What is left: U+FFFD where the bytes end within a character. The stream can be used again. */
  flush(): string {
    return this.#decoder.decode();
  }
}
