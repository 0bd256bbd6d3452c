/** Packs float rows into the layout of device memory, converted files and the CPU engine. */

import {
  isQuantized,
  packCodes,
  packFloats,
  packScales,
  type WeightType,
} from "../../kernels/layouts.ts";
import { float16Bits } from "../core/float16.ts";
import { type QuantError, quantize } from "./quantize.ts";

/** Rows of a matrix in the layout of layouts.ts; the first row starts a row block. */
export interface PackedRows {
  /** `codeBytes(rows, columns, type)` bytes. */
  codes: Uint8Array<ArrayBuffer>;
  /** `scaleBytes(rows, columns, type)` bytes; empty for floats. */
  scales: Uint8Array<ArrayBuffer>;
}

/** Packs f32 `[rows, columns]` and returns the quantization error, zero for floats. */
export function packRows(
  values: Float32Array,
  { columns, type }: { columns: number; type: WeightType },
): PackedRows & QuantError {
  const rows = values.length / columns;
  if (!isQuantized(type)) {
    const floats = type === "f16" ? float16Bits(values) : values;
    return {
      codes: bytesOf(packFloats(floats, { rows, columns })),
      scales: new Uint8Array(),
      squaredError: 0,
      squaredValues: 0,
    };
  }
  const { codes, scales, ...error } = quantize(values, { columns, type });
  return {
    codes: bytesOf(packCodes({ codes, scales }, { rows, columns, type })),
    scales: bytesOf(packScales(float16Bits(scales), { rows, columns, type })),
    ...error,
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>) {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
