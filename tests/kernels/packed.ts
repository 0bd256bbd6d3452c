/** Packs a matrix in the kernels' layout, and returns the floats that it represents. */

import {
  isQuantized,
  matrixBytes,
  packCodes,
  packFloats,
  packScales,
  type WeightType,
} from "../../kernels/layouts.ts";
import { float16Bits } from "../../src/core/float16.ts";
import { dequantize, quantize } from "../../src/quant/quantize.ts";

export function packWeights(
  values: Float32Array,
  { rows, columns, type }: { rows: number; columns: number; type: WeightType },
): { weights: Uint8Array<ArrayBuffer>; values: Float32Array } {
  const weights = new Uint8Array(matrixBytes(rows, columns, type));
  if (!isQuantized(type)) {
    const floats = packFloats(type === "f16" ? float16Bits(values) : values, { rows, columns });
    weights.set(new Uint8Array(floats.buffer));
    return { weights, values: type === "f32" ? values : values.map(Math.f16round) };
  }
  const quantized = quantize(values, { columns, type });
  const codes = packCodes(quantized, { rows, columns, type });
  weights.set(new Uint8Array(codes.buffer));
  const scales = packScales(float16Bits(quantized.scales), { rows, columns, type });
  weights.set(new Uint8Array(scales.buffer), codes.byteLength);
  return { weights, values: dequantize(quantized, { columns, type }) };
}
