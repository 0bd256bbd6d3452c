/**
 * Quantizes float rows to codes and float16 scales, in blocks of `scaleBlock` columns of a row.
 * `dequantize` returns the values that the kernels compute with.
 *
 * The scale of an int8 block is its largest magnitude. The scale of an nf4 block is the result of a
 * search: starting from two scales near the largest magnitude, with both signs because the table is not
 * symmetric, it alternates between nearest codes and least-squares scale, and returns the scale with the
 * least squared error.
 */

import {
  NF4,
  QUANTIZED_LAYOUTS,
  type QuantizedRows,
  type QuantizedType,
  scaleBlocks,
} from "../../kernels/layouts.ts";
import { roundToFloat16 } from "../core/float16.ts";

/** Start points of the search as fractions of the largest magnitude, and iterations from each. */
const STARTS = [0.98, 0.84];
const ITERATIONS = 3;

/** Magnitudes for which a float16 scale is precise enough to benefit from the search. */
const SEARCH_RANGE = { from: 2 ** -13, to: 2 ** 15 };

const NF4_VALUES = Float64Array.from(NF4);

/** Upper end of the interval in which each code is the nearest. */
const NF4_BORDERS = Float64Array.from(NF4, (value, i) => (value + (NF4[i + 1] ?? Infinity)) / 2);

/**
 * Lookup tables over [-2, 2] in cells of 1/512: the code of each cell's lower end, and the value nearest
 * to its middle. Close to a border this can be the second nearest value, which is accurate enough for
 * the search.
 */
const CELL_CODES = Uint8Array.from({ length: 2048 }, (_, i) => nf4Code(i / 512 - 2));
const CELL_VALUES = Float32Array.from(
  { length: 2048 },
  (_, i) => NF4[nf4Code((i + 0.5) / 512 - 2)],
);

/** The quantization error of a matrix. */
export interface QuantError {
  /** Sum of the squared differences. */
  squaredError: number;
  /** Sum of the squared values. */
  squaredValues: number;
}

/** Quantizes f32 `[rows, columns]`. */
export function quantize(
  values: Float32Array,
  { columns, type }: { columns: number; type: QuantizedType },
): QuantizedRows & QuantError {
  const rows = values.length / columns;
  const size = QUANTIZED_LAYOUTS[type].scaleBlock;
  const codes = new Int8Array(values.length);
  const scales = new Float32Array(rows * scaleBlocks(columns, type));
  const { chooseScale, encode } = QUANTIZERS[type];
  let at = 0, squaredError = 0, squaredValues = 0;
  for (let row = 0; row < values.length; row += columns) {
    for (let from = row; from < row + columns; from += size) {
      const block = { values, codes, from, to: Math.min(row + columns, from + size) };
      const scale = chooseScale(block);
      scales[at++] = scale;
      squaredError += encode(block, scale);
      for (let i = from; i < block.to; i++) squaredValues += values[i] * values[i];
    }
  }
  return { codes, scales, squaredError, squaredValues };
}

/** Returns the values of quantized rows, f32 `[rows, columns]`. */
export function dequantize(
  { codes, scales }: QuantizedRows,
  { columns, type }: { columns: number; type: QuantizedType },
): Float32Array {
  const blocks = scaleBlocks(columns, type);
  return Float32Array.from(codes, (code, i) => {
    const block = Math.floor(i / columns) * blocks +
      Math.floor(i % columns / QUANTIZED_LAYOUTS[type].scaleBlock);
    return decode(code, type) * scales[block];
  });
}

/** Returns the value of a code at scale 1. */
export function decode(code: number, type: QuantizedType): number {
  return QUANTIZERS[type].decode(code);
}

/** Values `[from, to)` that share a scale, and the array for their codes. */
interface Block {
  values: Float32Array;
  codes: Int8Array;
  from: number;
  to: number;
}

/** How to quantize to a type. */
interface Quantizer {
  /** Returns the scale of a block. */
  chooseScale(block: Block): number;
  /** Writes a block's codes and returns its squared error. */
  encode(block: Block, scale: number): number;
  /** Returns the value of a code at scale 1. */
  decode(code: number): number;
}

const QUANTIZERS: Record<QuantizedType, Quantizer> = {
  int8: {
    chooseScale: int8Scale,
    encode: encodeInt8,
    decode: (code) => Math.fround(code / 127),
  },
  nf4: { chooseScale: nf4Scale, encode: encodeNf4, decode: (code) => NF4[code] },
};

function largest({ values, from, to }: Block): number {
  let largest = 0;
  for (let i = from; i < to; i++) {
    const magnitude = Math.abs(values[i]);
    if (magnitude > largest) largest = magnitude;
  }
  return largest;
}

/** Rounds the largest magnitude to float16, never to infinity, and to zero only for a zero block. */
function plainScale(magnitude: number): number {
  return magnitude === 0 ? 0 : Math.min(Math.max(roundToFloat16(magnitude), 2 ** -24), 65504);
}

function int8Scale(block: Block): number {
  return plainScale(largest(block));
}

function nf4Scale(block: Block): number {
  const magnitude = largest(block);
  if (magnitude < SEARCH_RANGE.from || magnitude > SEARCH_RANGE.to) return plainScale(magnitude);
  const { values, from, to } = block;
  let best = 0, least = Infinity;
  for (const sign of [1, -1]) {
    for (const start of STARTS) {
      let scale = roundToFloat16(sign * start * magnitude);
      for (let iteration = 0; iteration <= ITERATIONS; iteration++) {
        const inverse = 512 / scale;
        let cross = 0, square = 0;
        for (let i = from; i < to; i++) {
          const value = values[i];
          const nearest = CELL_VALUES[(value * inverse + 1024) | 0];
          cross += value * nearest;
          square += nearest * nearest;
        }
        // Squared error minus the sum of squared values, which is the same for all scales.
        const error = scale * (scale * square - 2 * cross);
        if (error < least) {
          least = error;
          best = scale;
        }
        const next = roundToFloat16(cross / square);
        // The tables end at twice the scale, so smaller scales cannot be evaluated.
        if (next === scale || !(Math.abs(next) > 0.51 * magnitude)) break;
        scale = next;
      }
    }
  }
  return best;
}

/** Writes a block's codes and returns its squared error. */
function encodeInt8({ values, codes, from, to }: Block, scale: number): number {
  const inverse = scale === 0 ? 0 : 127 / scale;
  const step = scale / 127;
  let error = 0;
  for (let i = from; i < to; i++) {
    const code = Math.max(-127, Math.min(127, Math.round(values[i] * inverse)));
    codes[i] = code;
    const difference = values[i] - code * step;
    error += difference * difference;
  }
  return error;
}

/** Writes a block's codes and returns its squared error. */
function encodeNf4({ values, codes, from, to }: Block, scale: number): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let error = 0;
  for (let i = from; i < to; i++) {
    const value = values[i] * inverse;
    const cell = value <= -2 ? 0 : value >= 2 ? 2047 : (value * 512 + 1024) | 0;
    let code = CELL_CODES[cell];
    if (value > NF4_BORDERS[code]) code++;
    codes[i] = code;
    const difference = values[i] - NF4_VALUES[code] * scale;
    error += difference * difference;
  }
  return error;
}

/** Returns the code nearest to a value at scale 1. */
function nf4Code(value: number): number {
  return NF4_BORDERS.findIndex((border) => value <= border);
}
