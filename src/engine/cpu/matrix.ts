/**
 * Matrices of the reference engine: floats, or the same packed codes and scales as on a device,
 * dequantized when they are read.
 */

import {
  codeBytes,
  NF4,
  QUANTIZED_LAYOUTS,
  type QuantizedType,
  ROW_BLOCK,
  scaleBlocks,
  scaleBytes,
} from "../../../kernels/layouts.ts";
import { decodeFloat16, float16Bits } from "../../core/float16.ts";
import {
  assertFitsFloat16,
  isQuantized,
  type MatrixSource,
  packedPieces,
  type WeightType,
} from "../../quant/mod.ts";
import { multiply } from "./operations.ts";

export interface CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  /** Calls `put` with the product of each row and x `[columns]`. */
  multiply(x: Float32Array, put: (row: number, sum: number) => void): void;
  /** Returns a row as floats. */
  row(index: number): Float32Array;
}

interface MatrixSize {
  rows: number;
  columns: number;
}

/** Rows read from the checkpoint per call. */
const PIECE_ROWS = 1024;

/** Returns a matrix's bytes in this engine, which stores float16 weights and scales as float32. */
export function cpuMatrixBytes({ rows, columns }: MatrixSize, type: WeightType): number {
  return isQuantized(type)
    ? codeBytes(rows, columns, type) + 2 * scaleBytes(rows, columns, type)
    : rows * columns * 4;
}

/** Reads a matrix into memory. `onRead` receives bytes as counted by `cpuMatrixBytes`. */
export async function readMatrix(
  source: MatrixSource,
  type: WeightType,
  onRead: (bytes: number) => void,
): Promise<CpuMatrix> {
  const { rows, columns } = source;
  if (isQuantized(type)) {
    const codes = new Uint8Array(codeBytes(rows, columns, type));
    const scales = new Float32Array(scaleBytes(rows, columns, type) / 2);
    for await (const piece of packedPieces(source, { type })) {
      codes.set(piece.codes, codeBytes(piece.firstRow, columns, type));
      const { buffer, byteOffset, byteLength } = piece.scales;
      const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
      decodeFloat16(halves, scales.subarray(scaleBytes(piece.firstRow, columns, type) / 2));
      onRead(cpuMatrixBytes({ rows: piece.rows, columns }, type));
    }
    return new PackedMatrix({ rows, columns, type, codes, scales });
  }
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row += PIECE_ROWS) {
    const part = await source.readRows(row, Math.min(PIECE_ROWS, rows - row));
    if (type === "f16") {
      assertFitsFloat16(part, source.name);
      decodeFloat16(float16Bits(part), part);
    }
    values.set(part, row * columns);
    onRead(part.byteLength);
  }
  return new FloatMatrix(values, source);
}

class FloatMatrix implements CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly #values: Float32Array;

  constructor(values: Float32Array, { rows, columns }: MatrixSize) {
    this.rows = rows;
    this.columns = columns;
    this.#values = values;
  }

  multiply(x: Float32Array, put: (row: number, sum: number) => void): void {
    multiply(this.#values, x, put);
  }

  row(index: number): Float32Array {
    return this.#values.subarray(index * this.columns, (index + 1) * this.columns);
  }
}

/** Lookup tables from a byte to the values of its codes at scale 1: one for int8, two for nf4. */
const VALUES: Record<QuantizedType, readonly Float32Array[]> = {
  // -128 is not a valid code; kernels read it as -127.
  int8: [Float32Array.from({ length: 256 }, (_, b) => Math.max(-127, (b << 24) >> 24) / 127)],
  nf4: [
    Float32Array.from({ length: 256 }, (_, b) => NF4[b & 15]),
    Float32Array.from({ length: 256 }, (_, b) => NF4[b >> 4]),
  ],
};

/** Dot product of each type. */
const DOT_PRODUCTS: Record<QuantizedType, typeof dotInt8> = { int8: dotInt8, nf4: dotNf4 };

class PackedMatrix implements CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly #type: QuantizedType;
  readonly #codes: Uint8Array;
  readonly #scales: Float32Array;
  /** Words of four bytes per row, and per scale. */
  readonly #words: number;
  readonly #wordsPerScale: number;
  /** x, padded with zeros to a multiple of a word. */
  readonly #x: Float64Array;

  constructor({ rows, columns, type, codes, scales }: MatrixSize & {
    type: QuantizedType;
    codes: Uint8Array;
    scales: Float32Array;
  }) {
    this.rows = rows;
    this.columns = columns;
    this.#type = type;
    this.#codes = codes;
    this.#scales = scales;
    const columnsPerWord = 4 * VALUES[type].length;
    this.#words = Math.ceil(columns / columnsPerWord);
    this.#wordsPerScale = QUANTIZED_LAYOUTS[type].scaleBlock / columnsPerWord;
    this.#x = new Float64Array(this.#words * columnsPerWord);
  }

  multiply(x: Float32Array, put: (row: number, sum: number) => void): void {
    const [words, step, scales] = [this.#words, this.#wordsPerScale, this.#scales];
    const dot = DOT_PRODUCTS[this.#type];
    this.#x.set(x);
    const operands = { codes: this.#codes, x: this.#x };
    const blocks = scaleBlocks(this.columns, this.#type);
    for (let row = 0; row < this.rows; row++) {
      const [rowBlock, lane] = [Math.floor(row / ROW_BLOCK), row % ROW_BLOCK];
      let sum = 0;
      for (let block = 0; block < blocks; block++) {
        const [from, to] = [block * step, Math.min(words, (block + 1) * step)];
        const at = ((rowBlock * words + from) * ROW_BLOCK + lane) * 4;
        sum += dot(operands, at, from, to) *
          scales[(rowBlock * blocks + block) * ROW_BLOCK + lane];
      }
      put(row, sum);
    }
  }

  row(index: number): Float32Array {
    const [rowBlock, lane] = [Math.floor(index / ROW_BLOCK), index % ROW_BLOCK];
    const tables = VALUES[this.#type];
    const columnsPerWord = 4 * tables.length;
    const blocks = scaleBlocks(this.columns, this.#type);
    return Float32Array.from({ length: this.columns }, (_, c) => {
      const word = Math.floor(c / columnsPerWord);
      const byte = Math.floor(c % columnsPerWord / tables.length);
      const code = this.#codes[((rowBlock * this.#words + word) * ROW_BLOCK + lane) * 4 + byte];
      const block = Math.floor(word / this.#wordsPerScale);
      return tables[c % tables.length][code] *
        this.#scales[(rowBlock * blocks + block) * ROW_BLOCK + lane];
    });
  }
}

interface Operands {
  codes: Uint8Array;
  x: Float64Array;
}

/** Returns the dot product over words `[from, to)` of a row, whose codes start at byte `at`. */
function dotInt8({ codes, x }: Operands, at: number, from: number, to: number): number {
  const [values] = VALUES.int8;
  let sum = 0;
  for (let c = from * 4; c < to * 4; c += 4) {
    sum += values[codes[at]] * x[c] + values[codes[at + 1]] * x[c + 1] +
      values[codes[at + 2]] * x[c + 2] + values[codes[at + 3]] * x[c + 3];
    at += 4 * ROW_BLOCK;
  }
  return sum;
}

/** Like `dotInt8`, for nf4. */
function dotNf4({ codes, x }: Operands, at: number, from: number, to: number): number {
  const [low, high] = VALUES.nf4;
  let sum = 0;
  for (let c = from * 8; c < to * 8; c += 8) {
    for (let i = 0; i < 4; i++) {
      const byte = codes[at + i];
      sum += low[byte] * x[c + 2 * i] + high[byte] * x[c + 2 * i + 1];
    }
    at += 4 * ROW_BLOCK;
  }
  return sum;
}
