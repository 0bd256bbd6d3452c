/**
 * Finds the central directory of a zip archive by its end records, preferring the zip64 record if its
 * locator exists (APPNOTE.TXT 4.3.14 to 4.3.16). Libraries that search in other ways can mistake the
 * zip64 end record for a directory header when a name has a particular length.
 */

import type { ByteSource } from "./byte_source.ts";

const END_MAGIC = 0x06054b50;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 0xffff;
const LOCATOR_MAGIC = 0x07064b50;
const LOCATOR_BYTES = 20;
const END64_MAGIC = 0x06064b50;
const END64_BYTES = 56;

/** The position of an archive's central directory. */
export interface ZipDirectory {
  /** Offset in the file. */
  offset: number;
  /** Size in bytes. */
  size: number;
  entries: number;
}

/** @throws Error if there is no directory, or it is not inside the file */
export async function findZipDirectory(source: ByteSource): Promise<ZipDirectory> {
  const tailBytes = Math.min(source.size, END_BYTES + MAX_COMMENT_BYTES + LOCATOR_BYTES);
  const start = source.size - tailBytes;
  const tail = viewOf(await source.read(start, tailBytes));
  const end = findEnd(tail);
  const locator = end - LOCATOR_BYTES;
  const isZip64 = locator >= 0 && tail.getUint32(locator, true) === LOCATOR_MAGIC;
  const limit = start + (isZip64 ? locator : end);
  const directory = isZip64 ? await readEnd64(source, { at: uint64(tail, locator + 8), limit }) : {
    entries: tail.getUint16(end + 10, true),
    size: tail.getUint32(end + 12, true),
    offset: tail.getUint32(end + 16, true),
  };
  if (directory.offset + directory.size > limit) {
    throw new Error(
      `its directory of ${directory.size} bytes at ${directory.offset} reaches past ${limit}`,
    );
  }
  return directory;
}

/**
 * Builds an archive that consists of a directory only, for a library that reads directories. Its
 * offsets remain those of the original file.
 *
 * @param directory Bytes of the directory.
 * @param entries Its entries, at most 65,535.
 */
export function directoryAsArchive(
  directory: Uint8Array,
  entries: number,
): Uint8Array<ArrayBuffer> {
  const archive = new Uint8Array(directory.length + END_BYTES);
  archive.set(directory);
  const end = new DataView(archive.buffer, directory.length);
  end.setUint32(0, END_MAGIC, true);
  end.setUint16(8, entries, true);
  end.setUint16(10, entries, true);
  end.setUint32(12, directory.length, true);
  return archive;
}

async function readEnd64(
  source: ByteSource,
  { at, limit }: { at: number; limit: number },
): Promise<ZipDirectory> {
  if (at + END64_BYTES > limit) throw new Error(`its zip64 end record at ${at} is missing`);
  const record = viewOf(await source.read(at, END64_BYTES));
  if (record.getUint32(0, true) !== END64_MAGIC) {
    throw new Error(`its zip64 end record at ${at} is missing`);
  }
  return { entries: uint64(record, 32), size: uint64(record, 40), offset: uint64(record, 48) };
}

/** Returns the offset of the last end record whose comment ends with the file. */
function findEnd(tail: DataView): number {
  for (let at = tail.byteLength - END_BYTES; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END_MAGIC) continue;
    if (at + END_BYTES + tail.getUint16(at + 20, true) === tail.byteLength) return at;
  }
  throw new Error("the end record is missing");
}

/** Reads a 64-bit integer. Values beyond safe integers are imprecise, but exceed the size of any file. */
function uint64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
