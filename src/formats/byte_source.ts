/**
 * Random-access bytes under the checkpoint readers: a file, a buffer, a range of something remote.
 * A source checks the range of every read, so that a length field in a damaged file can never make
 * a reader see bytes that are not there.
 */

import { InferenceError } from "../core/errors.ts";

/** Bytes of a known size, read in any order. Reads may overlap in time. */
export interface ByteSource {
  /** What messages call it, usually the file's path. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`; the result may be a view that the caller must not change.
   *
   * @throws InferenceError `invalid_checkpoint` where the range is not inside the source.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Frees what the source holds; no read may follow. */
  close(): Promise<void>;
}

/** A source over bytes in memory, without a copy. */
export class MemorySource implements ByteSource {
  /** What messages call it. */
  readonly name: string;
  readonly #bytes: Uint8Array;

  /** A source over `bytes`, which must not change while anything reads from it. */
  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.#bytes = bytes;
  }

  /** Bytes in all. */
  get size(): number {
    return this.#bytes.length;
  }

  /** Exactly `length` bytes from `offset`, as a view. */
  // deno-lint-ignore require-await
  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    return this.#bytes.subarray(offset, offset + length);
  }

  /** There is nothing to free. */
  async close(): Promise<void> {}
}

/**
 * What every source's `read` calls first.
 *
 * @throws InferenceError `invalid_checkpoint` where `offset` and `length` are no range of `source`.
 */
export function checkRange(
  source: Pick<ByteSource, "name" | "size">,
  offset: number,
  length: number,
): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) &&
    offset >= 0 && length >= 0 && offset + length <= source.size;
  if (!valid) {
    throw invalidCheckpoint(
      source.name,
      `cannot read ${length} bytes at offset ${offset} of ${source.size}: ` +
        "the file is incomplete or damaged, fetch it again",
    );
  }
}

/** The error of all checkpoint readers: the file's name, then what is wrong and what to do. */
export function invalidCheckpoint(
  file: string,
  problem: string,
  options?: ErrorOptions,
): InferenceError {
  return new InferenceError("invalid_checkpoint", `${file}: ${problem}`, options);
}
