/**
 * Float rows to codes and scales, each row on its own, blocks of `SCALE_BLOCK` columns. Scales are
 * float16, chosen for the least squared error among a few and then refined; `dequantize` gives what
 * the kernels compute with.
 */

import {
  NF4,
  type QuantizedRows,
  type QuantizedType,
  SCALE_BLOCK,
  scaleBlocks,
} from "../../kernels/layouts.ts";

/** Parts of the largest magnitude that are tried as scale. */
const TRIED: Record<QuantizedType, readonly number[]> = {
  int8: [1],
  nf4: [1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7],
};

/** Where the code changes from one value to the next. */
const NF4_BORDERS = NF4.slice(1).map((value, i) => (value + NF4[i]) / 2);

/** Quantizes f32 `[rows, columns]`. */
export function quantize(
  values: Float32Array,
  { columns, type }: { columns: number; type: QuantizedType },
): QuantizedRows {
  const rows = values.length / columns;
  const blocks = scaleBlocks(columns, type);
  const codes = new Int8Array(values.length);
  const scales = new Float16Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const from = row * columns + block * SCALE_BLOCK[type];
      const to = Math.min((row + 1) * columns, from + SCALE_BLOCK[type]);
      const part = values.subarray(from, to);
      const scale = bestScale(part, type);
      scales[row * blocks + block] = scale;
      encode(part, { scale, type, codes: codes.subarray(from, to) });
    }
  }
  return { codes, scales };
}

/** What quantized rows stand for, f32 `[rows, columns]`. */
export function dequantize(
  { codes, scales }: QuantizedRows,
  { columns, type }: { columns: number; type: QuantizedType },
): Float32Array {
  const blocks = scaleBlocks(columns, type);
  return Float32Array.from(codes, (code, i) => {
    const block = Math.floor(i / columns) * blocks + Math.floor(i % columns / SCALE_BLOCK[type]);
    return decode(code, type) * scales[block];
  });
}

/** A code's value at scale 1. */
export function decode(code: number, type: QuantizedType): number {
  return type === "int8" ? Math.fround(code / 127) : NF4[code];
}

function bestScale(part: Float32Array, type: QuantizedType): number {
  let largest = 0;
  for (const value of part) largest = Math.max(largest, Math.abs(value));
  if (largest === 0) return 0;
  let best = 0;
  let least = Infinity;
  const codes = new Int8Array(part.length);
  const consider = (wanted: number) => {
    // Never zero or infinite: float16 ends at 65504, and a scale of 0 would lose the block.
    const scale = Math.f16round(Math.min(Math.max(wanted, 2 ** -24), 65504));
    encode(part, { scale, type, codes });
    let error = 0, cross = 0, square = 0;
    for (let i = 0; i < part.length; i++) {
      const value = decode(codes[i], type);
      error += (part[i] - value * scale) ** 2;
      cross += part[i] * value;
      square += value * value;
    }
    if (error < least) {
      least = error;
      best = scale;
    }
    return square > 0 ? cross / square : scale;
  };
  // The scale that fits the codes best is tried as well.
  for (const part of TRIED[type]) consider(consider(largest * part));
  return best;
}

function encode(
  part: Float32Array,
  { scale, type, codes }: { scale: number; type: QuantizedType; codes: Int8Array },
): void {
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < part.length; i++) {
    const value = part[i] * inverse;
    if (type === "int8") {
      codes[i] = Math.max(-127, Math.min(127, Math.round(value * 127)));
    } else {
      let low = 0, high = NF4_BORDERS.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (value > NF4_BORDERS[middle]) low = middle + 1;
        else high = middle;
      }
      codes[i] = low;
    }
  }
}
