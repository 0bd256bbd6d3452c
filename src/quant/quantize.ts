/**
 * Float rows to codes and scales, each row on its own, blocks of `SCALE_BLOCK` columns. Scales are
 * float16; `dequantize` gives what the kernels compute with.
 *
 * int8 takes a block's largest magnitude as its scale. nf4 searches: from two scales near the
 * largest magnitude, under both signs (the table is not symmetric), it goes to the scale that fits
 * the codes best, and again, and keeps the one with the least squared error.
 */

import {
  NF4,
  type QuantizedRows,
  type QuantizedType,
  SCALE_BLOCK,
  scaleBlocks,
} from "../../kernels/layouts.ts";
import { roundToFloat16 } from "../core/float16.ts";

/** Parts of the largest magnitude at which the search starts, and how often it goes on from each. */
const STARTS = [0.98, 0.84];
const STEPS = 3;

/** Magnitudes within which a float16 scale is precise enough to be worth a search. */
const SEARCHED = { from: 2 ** -13, to: 2 ** 15 };

const NF4_VALUES = Float64Array.from(NF4);

/** By code: up to here it is the nearest. */
const NF4_BORDERS = Float64Array.from(NF4, (value, i) => (value + (NF4[i + 1] ?? Infinity)) / 2);

/**
 * Cells between -2 and 2, by 1/512: the code of each one's lower end, and the value nearest to its
 * middle. Near a border that is the second nearest, which a search for a scale can bear.
 */
const CELL_CODES = Uint8Array.from({ length: 2048 }, (_, i) => nf4Code(i / 512 - 2));
const CELL_VALUES = Float32Array.from(
  { length: 2048 },
  (_, i) => NF4[nf4Code((i + 0.5) / 512 - 2)],
);

/** How far a quantized matrix is from its values. */
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
  const size = SCALE_BLOCK[type];
  const codes = new Int8Array(values.length);
  const scales = new Float32Array(rows * scaleBlocks(columns, type));
  const [pick, encode] = type === "int8" ? [int8Scale, encodeInt8] : [nf4Scale, encodeNf4];
  let at = 0, squaredError = 0, squaredValues = 0;
  for (let row = 0; row < values.length; row += columns) {
    for (let from = row; from < row + columns; from += size) {
      const block = { values, codes, from, to: Math.min(row + columns, from + size) };
      const scale = pick(block);
      scales[at++] = scale;
      squaredError += encode(block, scale);
      for (let i = from; i < block.to; i++) squaredValues += values[i] * values[i];
    }
  }
  return { codes, scales, squaredError, squaredValues };
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

/** Values `[from, to)`, which share a scale, and where their codes go. */
interface Block {
  values: Float32Array;
  codes: Int8Array;
  from: number;
  to: number;
}

function largest({ values, from, to }: Block): number {
  let largest = 0;
  for (let i = from; i < to; i++) {
    const magnitude = Math.abs(values[i]);
    if (magnitude > largest) largest = magnitude;
  }
  return largest;
}

/** The largest magnitude as float16, never infinite, and never zero unless the block is. */
function plainScale(magnitude: number): number {
  return magnitude === 0 ? 0 : Math.min(Math.max(roundToFloat16(magnitude), 2 ** -24), 65504);
}

function int8Scale(block: Block): number {
  return plainScale(largest(block));
}

function nf4Scale(block: Block): number {
  const magnitude = largest(block);
  if (magnitude < SEARCHED.from || magnitude > SEARCHED.to) return plainScale(magnitude);
  const { values, from, to } = block;
  let best = 0, least = Infinity;
  for (const sign of [1, -1]) {
    for (const start of STARTS) {
      let scale = roundToFloat16(sign * start * magnitude);
      for (let step = 0; step <= STEPS; step++) {
        const inverse = 512 / scale;
        let cross = 0, square = 0;
        for (let i = from; i < to; i++) {
          const value = values[i];
          const nearest = CELL_VALUES[(value * inverse + 1024) | 0];
          cross += value * nearest;
          square += nearest * nearest;
        }
        // The squared error, less the sum of the squared values, which is the same for all scales.
        const error = scale * (scale * square - 2 * cross);
        if (error < least) {
          least = error;
          best = scale;
        }
        const next = roundToFloat16(cross / square);
        // Cells end at twice the scale, so no scale is tried that a value lies beyond.
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

/** As `encodeInt8`. */
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

/** The code nearest to a value at scale 1. */
function nf4Code(value: number): number {
  return NF4_BORDERS.findIndex((border) => value <= border);
}
