/**
 * The layout of matrices in device memory. No other file defines it.
 *
 * A matrix `[rows, columns]` is split into blocks of 8 rows. Within a block, the 8 rows' groups of
 * four consecutive columns are interleaved, so that 8 adjacent threads, each processing one row,
 * read adjacent words:
 *
 *     index of the group (row, column / 4) =
 *       (floor(row / 8) * columnGroups + floor(column / 4)) * 8 + row % 8
 *
 * A group takes 16 bytes as f32, 8 as f16 and 4 as int8. With nf4, two adjacent groups of a row
 * share a 4-byte word, the first in its low half; each code has 4 bits, the first code lowest.
 * Rows are padded to a multiple of 8 and columns to a multiple of 4 (nf4: 8), both with zeros.
 *
 * Quantized matrices have a float16 scale for every `scaleBlock` columns of a row. Scales follow
 * the codes in the same buffer, as `[row / 8][column / scaleBlock][row % 8]`. An int8 weight is
 * `code / 127 * scale` with codes from -127 to 127. An nf4 weight is `NF4[code] * scale`; its
 * scales may be negative.
 */

import { roundUp } from "./spec.ts";

/** Element types of a matrix in device memory. */
export type WeightType = "f32" | "f16" | "int8" | "nf4";

/** Element types with codes and scales. */
export type QuantizedType = "int8" | "nf4";

export const ROW_BLOCK = 8;

/** How a quantized type is stored. */
export interface QuantizedLayout {
  /** Bits per code, a divisor of 32. */
  bits: number;
  /** Columns that share a scale. */
  scaleBlock: number;
  /** The code of the value zero, used as padding. */
  zeroCode: number;
  /** The safetensors dtype of the codes in converted files. */
  dtype: "I8" | "U8";
}

/**
 * The table of quantized types. A new type needs an entry here, and the compiler then requires one in
 * each of four other tables: the shader reader (`weights.ts`), the quantizer (`src/quant/quantize.ts`),
 * the CPU decoder (`src/engine/cpu/matrix.ts`) and the random codes
 * (`src/model/random_checkpoint.ts`). Everything else derives from this table.
 */
export const QUANTIZED_LAYOUTS: Readonly<Record<QuantizedType, QuantizedLayout>> = {
  int8: { bits: 8, scaleBlock: 64, zeroCode: 0, dtype: "I8" },
  nf4: { bits: 4, scaleBlock: 32, zeroCode: 7, dtype: "U8" },
};

/** Values of the 4-bit codes: quantiles of the normal distribution (QLoRA, appendix E). */
export const NF4: readonly number[] = [
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
];

/** A quantized matrix, or some of its rows, in row-major order. */
export interface QuantizedRows {
  /** `[rows, columns]`: -127 to 127 with int8, 0 to 15 with nf4. */
  codes: Int8Array;
  /** `[rows, ceil(columns / scaleBlock)]`, each representable as float16. */
  scales: Float32Array;
}

export function isQuantized(type: string): type is QuantizedType {
  return Object.hasOwn(QUANTIZED_LAYOUTS, type);
}

/** Returns the number of groups of four columns, the last one padded. */
export function columnGroups(columns: number): number {
  return Math.ceil(columns / 4);
}

/** Returns the number of scales per row. */
export function scaleBlocks(columns: number, type: QuantizedType): number {
  return Math.ceil(columns / QUANTIZED_LAYOUTS[type].scaleBlock);
}

/** Returns the number of 4-byte words of codes per row, the last one padded. */
function codeWords(columns: number, type: QuantizedType): number {
  return Math.ceil(columns / (32 / QUANTIZED_LAYOUTS[type].bits));
}

/** Returns the bytes of `rows` rows without scales, including padding. */
export function codeBytes(rows: number, columns: number, type: WeightType): number {
  const padded = roundUp(rows, ROW_BLOCK);
  if (isQuantized(type)) return padded * codeWords(columns, type) * 4;
  return padded * columnGroups(columns) * (type === "f32" ? 16 : 8);
}

/** Returns the bytes of the scales of `rows` rows, including padding. */
export function scaleBytes(rows: number, columns: number, type: WeightType): number {
  return isQuantized(type) ? roundUp(rows, ROW_BLOCK) * scaleBlocks(columns, type) * 2 : 0;
}

/** Returns the bytes of `rows` rows with their scales. */
export function matrixBytes(rows: number, columns: number, type: WeightType): number {
  return codeBytes(rows, columns, type) + scaleBytes(rows, columns, type);
}

interface MatrixSize {
  rows: number;
  columns: number;
}

/**
 * Packs float rows; the first row starts a block.
 *
 * @param values `[rows, columns]`: f32 values or f16 bits.
 * @returns `codeBytes(rows, columns, type)` bytes of the same type.
 */
export function packFloats(
  values: Float32Array | Uint16Array,
  { rows, columns }: MatrixSize,
): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  const groups = columnGroups(columns);
  const length = roundUp(rows, ROW_BLOCK) * groups * 4;
  const packed = values instanceof Float32Array
    ? new Float32Array(length)
    : new Uint16Array(length);
  for (let row = 0; row < rows; row++) {
    const base = Math.floor(row / ROW_BLOCK) * groups * ROW_BLOCK + (row % ROW_BLOCK);
    const from = row * columns;
    for (let column = 0; column < columns; column++) {
      packed[(base + (column >> 2) * ROW_BLOCK) * 4 + (column & 3)] = values[from + column];
    }
  }
  return packed;
}

/** Packs the codes of quantized rows into `codeBytes(rows, columns, type)` bytes. */
export function packCodes(
  { codes }: QuantizedRows,
  { rows, columns, type }: MatrixSize & { type: QuantizedType },
): Uint32Array<ArrayBuffer> {
  const { bits, zeroCode } = QUANTIZED_LAYOUTS[type];
  const perWord = 32 / bits;
  const words = codeWords(columns, type);
  const packed = new Uint32Array(roundUp(rows, ROW_BLOCK) * words);
  const mask = (1 << bits) - 1;
  for (let row = 0; row < rows; row++) {
    const base = Math.floor(row / ROW_BLOCK) * words * ROW_BLOCK + (row % ROW_BLOCK);
    const from = row * columns;
    for (let w = 0; w < words; w++) {
      let word = 0;
      for (let i = 0; i < perWord; i++) {
        const column = w * perWord + i;
        const code = column < columns ? codes[from + column] : zeroCode;
        word |= (code & mask) << (i * bits);
      }
      packed[base + w * ROW_BLOCK] = word >>> 0;
    }
  }
  return packed;
}

/**
 * Packs the scales of quantized rows.
 *
 * @param scales f16 bits `[rows, ceil(columns / scaleBlock)]`.
 * @returns `scaleBytes(rows, columns, type)` bytes.
 */
export function packScales(
  scales: Uint16Array,
  { rows, columns, type }: MatrixSize & { type: QuantizedType },
): Uint16Array<ArrayBuffer> {
  const blocks = scaleBlocks(columns, type);
  const packed = new Uint16Array(roundUp(rows, ROW_BLOCK) * blocks);
  for (let row = 0; row < rows; row++) {
    const base = Math.floor(row / ROW_BLOCK) * blocks * ROW_BLOCK + (row % ROW_BLOCK);
    for (let block = 0; block < blocks; block++) {
      packed[base + block * ROW_BLOCK] = scales[row * blocks + block];
    }
  }
  return packed;
}
