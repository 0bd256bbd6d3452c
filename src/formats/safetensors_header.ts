/** The head of a safetensors file as it is written: its length, JSON, and spaces up to the data. */

import { byteLengths, type NewTensor } from "./new_tensor.ts";
import type { TensorInfo } from "./tensor_layout.ts";

/** Becomes `__metadata__`, which is left out where empty. */
export type SafetensorsMetadata = Readonly<Record<string, string>>;

/** A tensor and its place. */
export interface PlacedTensor extends TensorInfo {
  /** Offset of its first byte after the head. */
  readonly begin: number;
}

/** The tensors one after the other, without gaps. */
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
 * All bytes before the tensors' own. Spaces align the data to eight bytes, as the reference
 * implementation does, or fill a head that was made longer than it had to be.
 *
 * @param length Bytes of the head; by default as few as possible. A plain error where they are too few.
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
    throw new Error(`Cannot write a head of ${needed} bytes where ${head.length} were kept for it`);
  }
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(json, 8);
  return head;
}
