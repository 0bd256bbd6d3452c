/**
 * Random-access reads for the checkpoint readers, from a file, a buffer or a remote range. A source
 * checks the range of every read, so a wrong length field in a damaged file cannot read out of bounds.
 */

import { InferenceError } from "../core/errors.ts";

/** Bytes of a known size, read in any order. Reads may overlap in time. */
export interface ByteSource {
  /** Name in error messages, usually the file's path. */
  readonly name: string;
  /** Size in bytes. */
  readonly size: number;
  /**
   * Returns exactly `length` bytes from `offset`. The result can be a view, so the caller must not
   * change it.
   *
   * @throws InferenceError `invalid_checkpoint` if the range is not inside the source.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Releases the source's resources. No read may follow. */
  close(): Promise<void>;
}

/** A source over bytes in memory, without a copy. */
export class MemorySource implements ByteSource {
  /** Name in error messages. */
  readonly name: string;
  readonly #bytes: Uint8Array;

  /** Creates a source over `bytes`, which must not change while the source is in use. */
  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.#bytes = bytes;
  }

  /** Size in bytes. */
  get size(): number {
    return this.#bytes.length;
  }

  /** Returns `length` bytes from `offset`, as a view. */
  // deno-lint-ignore require-await
  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    return this.#bytes.subarray(offset, offset + length);
  }

  /** Does nothing: there are no resources. */
  async close(): Promise<void> {}
}

/**
 * Checks the range of a read. Every source calls it first.
 *
 * @throws InferenceError `invalid_checkpoint` if `offset` and `length` are not a range of `source`.
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
        "the file is incomplete or damaged; download it again",
    );
  }
}

/** Creates the error of all checkpoint readers: file name, problem and remedy. */
export function invalidCheckpoint(
  file: string,
  problem: string,
  options?: ErrorOptions,
): InferenceError {
  return new InferenceError("invalid_checkpoint", `${file}: ${problem}`, options);
}
