/**
 * The tensors of a packed matrix in a safetensors file: codes and scales, in the order of device memory,
 * so that loading is a copy. Float matrices are stored as ordinary tensors.
 */

import {
  codeBytes,
  QUANTIZED_LAYOUTS,
  type QuantizedType,
  ROW_BLOCK,
  scaleBlocks,
} from "../../kernels/layouts.ts";

/** The description of one tensor. */
export interface PackedTensor {
  name: string;
  dtype: "I8" | "U8" | "F16";
  shape: readonly number[];
}

/** Describes the codes `[row blocks, words, 8, 4 bytes]` and scales `[row blocks, blocks, 8]` of a matrix. */
export function packedTensors(
  { name, rows, columns, type }: {
    name: string;
    rows: number;
    columns: number;
    type: QuantizedType;
  },
): { codes: PackedTensor; scales: PackedTensor } {
  const rowBlocks = Math.ceil(rows / ROW_BLOCK);
  const words = codeBytes(ROW_BLOCK, columns, type) / (4 * ROW_BLOCK);
  return {
    codes: {
      name: `${name}.${type}`,
      dtype: QUANTIZED_LAYOUTS[type].dtype,
      shape: [rowBlocks, words, ROW_BLOCK, 4],
    },
    scales: {
      name: `${name}.scales`,
      dtype: "F16",
      shape: [rowBlocks, scaleBlocks(columns, type), ROW_BLOCK],
    },
  };
}

/** Returns the index of the first scale that is NaN or infinite, or -1. */
export function firstNonFiniteScale(scales: Uint8Array<ArrayBuffer>): number {
  const { buffer, byteOffset, byteLength } = scales.byteOffset % 2 === 0 ? scales : scales.slice();
  const bits = new Uint16Array(buffer, byteOffset, byteLength / 2);
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i] & 0x7c00) === 0x7c00) return i;
  }
  return -1;
}
