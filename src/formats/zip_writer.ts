/**
 * Writes a zip archive of stored (uncompressed) entries to a byte sink, piece by piece: zip.js makes
 * the records and sums, and this places the data.
 */

import { ZipWriter } from "@zip.js/zip.js/lib/zip-core.js";
import type { ByteSink } from "./byte_sink.ts";

/** Data starts at a multiple of this, as torch has it, so that a mapped file can be used in place. */
const ALIGNMENT = 64;
const LOCAL_HEADER_BYTES = 30;
/** The zip64 record of a local header: id, length and two sizes. */
const LOCAL_ZIP64_BYTES = 20;
/** Sizes from here on need one. */
const ZIP64_FROM = 0xffffffff;
/** The id under which torch puts padding into a header, and the bytes before the padding itself. */
const PADDING_ID = 0x4246;
const PADDING_HEADER_BYTES = 4;
/** The first day that an archive can name, at midnight: equal contents give equal files. */
const DAY_ZERO = 0x00210000;

/** An archive that is being written, one entry after the other. */
export class StoredZipWriter {
  readonly #zip: ZipWriter<unknown>;
  readonly #zip64: boolean;
  #position = 0;

  /** @param options.zip64 Whether entries get zip64 records that their sizes do not need, for tests. */
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
   * Adds an entry. What the sink or `pieces` throws passes through; the archive is then of no use.
   *
   * @param name In ASCII.
   * @param content.byteLength Bytes of all pieces; any other number is a plain error.
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
      // The stream stays open where the sink fails, and what gives the pieces may hold a file.
      await content.return(undefined);
    }
  }

  /** Writes the directory: only now is it an archive. */
  async close(): Promise<void> {
    await this.#zip.close();
  }
}

/** The pieces, which must be of the length that the headers before and after them state. */
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
    throw new Error(`Cannot write ${name}: it has ${byteLength} bytes, and ${found} were given`);
  }
}
