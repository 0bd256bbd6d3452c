/** Writes intact and damaged zip archives of uncompressed entries for tests. */

export interface ZipEntry {
  name: string;
  data: Uint8Array;
  /** Values that the directory states instead of the true ones. */
  stated?: { method?: number; compressedSize?: number; size?: number; offset?: number };
}

/**
 * Builds an archive of uncompressed entries, aligned to 64 bytes like those of torch.
 *
 * @param options.zip64 Writes zip64 end records, as torch always does.
 */
export function writeZip(
  entries: readonly ZipEntry[],
  { zip64 = false } = {},
): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const { name, data, stated = {} } of entries) {
    const nameBytes = new TextEncoder().encode(name);
    const padding = (64 - (offset + 30 + nameBytes.length + 4) % 64) % 64;
    const extra = record(4 + padding, [[0, 2, 0x4246], [2, 2, padding]]);
    const method = stated.method ?? 0;
    const crc = crc32(data);
    const compressed = stated.compressedSize ?? data.length;
    const size = stated.size ?? data.length;
    const local = record(30, [
      [0, 4, 0x04034b50],
      [8, 2, method],
      [14, 4, crc],
      [18, 4, compressed],
      [22, 4, size],
      [26, 2, nameBytes.length],
      [28, 2, extra.length],
    ]);
    const central = record(46, [
      [0, 4, 0x02014b50],
      [10, 2, method],
      [16, 4, crc],
      [20, 4, compressed],
      [24, 4, size],
      [28, 2, nameBytes.length],
      [42, 4, stated.offset ?? offset],
    ]);
    parts.push(local, nameBytes, extra, data);
    directory.push(central, nameBytes);
    offset += 30 + nameBytes.length + extra.length + data.length;
  }
  const end = record(22, [
    [0, 4, 0x06054b50],
    [8, 2, entries.length],
    [10, 2, entries.length],
    [12, 4, directory.reduce((sum, part) => sum + part.length, 0)],
    [16, 4, offset],
  ]);
  return concat([...parts, ...directory, ...(zip64 ? end64(entries, directory, offset) : []), end]);
}

/** Builds the zip64 end record and its locator. */
function end64(
  { length }: readonly ZipEntry[],
  directory: readonly Uint8Array[],
  offset: number,
): Uint8Array[] {
  const bytes = directory.reduce((sum, part) => sum + part.length, 0);
  const end = record(56, [
    [0, 4, 0x06064b50],
    [4, 4, 44],
    [12, 2, 45],
    [14, 2, 45],
    [24, 4, length],
    [32, 4, length],
    [40, 4, bytes],
    [48, 4, offset],
  ]);
  return [end, record(20, [[0, 4, 0x07064b50], [8, 4, offset + bytes], [16, 4, 1]])];
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Builds a record of zeros with little-endian fields. */
function record(
  length: number,
  fields: readonly (readonly [offset: number, size: 2 | 4, value: number])[],
): Uint8Array {
  const view = new DataView(new ArrayBuffer(length));
  for (const [offset, size, value] of fields) {
    if (size === 2) view.setUint16(offset, value, true);
    else view.setUint32(offset, value, true);
  }
  return new Uint8Array(view.buffer);
}

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
