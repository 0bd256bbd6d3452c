/**
 * Random-access writes for the model writers, the counterpart of a byte source. Writes can be in any
 * order because a header is often known only after the data that it describes.
 */

/** A file being written. Its size is the end of the furthest write. */
export interface ByteSink {
  /** Name in error messages, usually the file's path. */
  readonly name: string;
  /**
   * Writes `bytes` at `offset` and replaces existing content. Gaps are zeros. The caller must not
   * change `bytes` before the promise resolves.
   */
  write(offset: number, bytes: Uint8Array): Promise<void>;
}

/** A sink in memory, for small files and tests. Grows as needed. */
export class MemorySink implements ByteSink {
  /** Name in error messages. */
  readonly name: string;
  #buffer: Uint8Array<ArrayBuffer>;
  #size = 0;

  /** Creates a sink. With a `capacity` of the final size, nothing is copied. */
  constructor(name: string, capacity = 0) {
    this.name = name;
    this.#buffer = new Uint8Array(capacity);
  }

  /** The bytes written so far, as a view that later writes can change. */
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
