/**
 * Writes a zip archive of uncompressed entries to a byte sink incrementally. zip.js creates the records
 * and checksums; this file aligns the data.
 */

import { ZipWriter } from "@zip.js/zip.js/lib/zip-core.js";
import type { ByteSink } from "./byte_sink.ts";

/** Alignment of entry data, as in torch, so that a memory-mapped file can be used in place. */
const ALIGNMENT = 64;
const LOCAL_HEADER_BYTES = 30;
/** Size of the zip64 record in a local header: id, length and two sizes. */
const LOCAL_ZIP64_BYTES = 20;
/** Smallest entry size that needs a zip64 record. */
const ZIP64_FROM = 0xffffffff;
/** Extra-field id of torch's header padding, and the size of the field before the padding. */
const PADDING_ID = 0x4246;
const PADDING_HEADER_BYTES = 4;
/** The earliest date of the format, so that equal contents produce equal files. */
const DAY_ZERO = 0x00210000;

/** An archive being written, entry by entry. */
export class StoredZipWriter {
  readonly #zip: ZipWriter<unknown>;
  readonly #zip64: boolean;
  #position = 0;

  /** @param options.zip64 Always writes zip64 records, for tests. */
  constructor(sink: ByteSink, { zip64 = false }: { zip64?: boolean } = {}) {
    this.#zip64 = zip64;
    const stream = new WritableStream<Uint8Array>({
      write: async (bytes) => {
        await sink.write(this.#position, bytes);
        this.#position += bytes.length;
      },
    });
    this.#zip = new ZipWriter(stream, {
      level: 0,
      useWebWorkers: false,
      extendedTimestamp: false,
      rawLastModDate: DAY_ZERO,
    });
  }

  /**
   * Adds an entry. Errors of the sink and of `pieces` propagate and leave the archive unusable.
   *
   * @param name ASCII name.
   * @param content.byteLength Total size of the pieces; a mismatch throws a plain error.
   */
  async add(
    name: string,
    { pieces, byteLength }: {
      pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
      byteLength: number;
    },
  ): Promise<void> {
    const zip64 = this.#zip64 || byteLength >= ZIP64_FROM;
    const headerBytes = LOCAL_HEADER_BYTES + name.length + (zip64 ? LOCAL_ZIP64_BYTES : 0) +
      PADDING_HEADER_BYTES;
    const padding = ALIGNMENT - 1 - (this.#position + headerBytes - 1) % ALIGNMENT;
    const content = exactly(pieces, { name, byteLength });
    try {
      await this.#zip.add(name, ReadableStream.from(content), {
        uncompressedSize: byteLength,
        extraField: new Map([[PADDING_ID, new Uint8Array(padding)]]),
        ...(zip64 ? { zip64 } : {}),
      });
    } finally {
      // If the sink fails, the stream stays open, and the source of the pieces can own an open file.
      await content.return(undefined);
    }
  }

  /** Writes the directory, which completes the archive. */
  async close(): Promise<void> {
    await this.#zip.close();
  }
}

/** Yields the pieces and checks that their total matches the length in the headers. */
async function* exactly(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { name, byteLength }: { name: string; byteLength: number },
): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > byteLength) break;
    yield piece;
  }
  if (length !== byteLength) {
    const found = length > byteLength ? "more" : length;
    throw new Error(
      `Cannot write ${name}: its size is ${byteLength} bytes, but ${found} were provided`,
    );
  }
}
