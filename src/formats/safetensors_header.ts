/** Encodes the header of a safetensors file: its length, the JSON, and padding up to the data. */

import { byteLengths, type NewTensor } from "./new_tensor.ts";
import type { TensorInfo } from "./tensor_layout.ts";

/** Written as `__metadata__`; omitted if empty. */
export type SafetensorsMetadata = Readonly<Record<string, string>>;

/** A tensor and its position in the file. */
export interface PlacedTensor extends TensorInfo {
  /** Offset of its first byte from the end of the header. */
  readonly begin: number;
}

/** Assigns consecutive positions to the tensors, without gaps. */
export function placeTensors(tensors: readonly NewTensor[]): PlacedTensor[] {
  const lengths = byteLengths(tensors);
  if (lengths.has("__metadata__")) throw new Error('Cannot write a tensor named "__metadata__"');
  let end = 0;
  return tensors.map(({ name, dtype, shape }) => {
    const byteLength = lengths.get(name)!;
    const begin = end;
    end += byteLength;
    return { name, dtype, shape, byteLength, begin };
  });
}

/**
 * Encodes the bytes before the tensors' data. Spaces align the data to eight bytes, as in the
 * reference implementation, or fill up a reserved length.
 *
 * @param length Size of the header in bytes, the minimum by default. Throws a plain error if it is too
 * small.
 */
export function encodeHead(
  tensors: readonly PlacedTensor[],
  metadata: SafetensorsMetadata,
  length?: number,
): Uint8Array<ArrayBuffer> {
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) entries.push(["__metadata__", metadata]);
  for (const { name, dtype, shape, begin, byteLength } of tensors) {
    entries.push([name, { dtype, shape, data_offsets: [begin, begin + byteLength] }]);
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const needed = 8 + Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(length ?? needed).fill(0x20);
  if (head.length < needed) {
    throw new Error(
      `Cannot write the header: it has ${needed} bytes, but ${head.length} are reserved`,
    );
  }
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(json, 8);
  return head;
}
