/**
 * Random-access writes under the model writers, the counterpart of a byte source. Offsets come in any
 * order, because a header is often known only after what it describes.
 */

/** A file being made: it ends where the furthest write ends. */
export interface ByteSink {
  /** What messages call it, usually the file's path. */
  readonly name: string;
  /**
   * Puts all of `bytes` at `offset`, over what is there; what is never written is zeros. The caller
   * must not change `bytes` before the promise resolves.
   */
  write(offset: number, bytes: Uint8Array): Promise<void>;
}

/** A sink in memory, for small files and tests; it grows as needed. */
export class MemorySink implements ByteSink {
  /** What messages call it. */
  readonly name: string;
  #buffer: Uint8Array<ArrayBuffer>;
  #size = 0;

  /** A sink with room for `capacity` bytes, where the size is known: then nothing is copied. */
  constructor(name: string, capacity = 0) {
    this.name = name;
    this.#buffer = new Uint8Array(capacity);
  }

  /** What has been written so far; a view that later writes may change. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#size);
  }

  // deno-lint-ignore require-await
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const end = offset + bytes.length;
    if (end > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.#buffer.length));
      grown.set(this.bytes);
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, offset);
    this.#size = Math.max(this.#size, end);
  }
}
