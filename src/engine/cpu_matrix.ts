/** Matrices of the reference engine: as floats, or as codes that are dequantized as they are read. */

import { type QuantizedType, SCALE_BLOCK, scaleBlocks } from "../../kernels/layouts.ts";
import type { MatrixSource } from "../model/load.ts";
import { decode, quantize } from "../quant/quantize.ts";
import { multiply } from "./cpu_ops.ts";
import type { Quant } from "./engine.ts";

export interface CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly bytes: number;
  /** Calls `put` with every row times x `[columns]`. */
  multiply(x: Float32Array, put: (row: number, sum: number) => void): void;
  /** A row as floats. */
  row(index: number): Float32Array;
}

/** Rows that are read from the checkpoint at once. */
const PIECE_ROWS = 1024;

/** Reads a matrix into memory as `quant` says. */
export async function readMatrix(source: MatrixSource, quant: Quant): Promise<CpuMatrix> {
  if (quant === "int8" || quant === "nf4") return await readQuantized(source, quant);
  const values = await source.readRows(0, source.rows);
  if (quant === "f16") values.forEach((value, i) => values[i] = Math.f16round(value));
  return new FloatMatrix(values, source);
}

async function readQuantized(source: MatrixSource, type: QuantizedType): Promise<CpuMatrix> {
  const { rows, columns } = source;
  const blocks = scaleBlocks(columns, type);
  const codes = new Int8Array(rows * columns);
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row += PIECE_ROWS) {
    const values = await source.readRows(row, Math.min(PIECE_ROWS, rows - row));
    const piece = quantize(values, { columns, type });
    codes.set(piece.codes, row * columns);
    scales.set(piece.scales, row * blocks);
  }
  return new QuantizedMatrix({ codes, scales, rows, columns, type });
}

class FloatMatrix implements CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly bytes: number;
  readonly #values: Float32Array;

  constructor(values: Float32Array, { rows, columns }: { rows: number; columns: number }) {
    this.rows = rows;
    this.columns = columns;
    this.bytes = values.byteLength;
    this.#values = values;
  }

  multiply(x: Float32Array, put: (row: number, sum: number) => void): void {
    multiply(this.#values, x, put);
  }

  row(index: number): Float32Array {
    return this.#values.subarray(index * this.columns, (index + 1) * this.columns);
  }
}

class QuantizedMatrix implements CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly bytes: number;
  readonly #codes: Int8Array;
  readonly #scales: Float32Array;
  readonly #block: number;
  /** By code + 127: what it stands for at scale 1. */
  readonly #values: Float32Array;

  constructor({ codes, scales, rows, columns, type }: {
    codes: Int8Array;
    scales: Float32Array;
    rows: number;
    columns: number;
    type: QuantizedType;
  }) {
    this.rows = rows;
    this.columns = columns;
    this.bytes = codes.byteLength + scales.byteLength;
    this.#codes = codes;
    this.#scales = scales;
    this.#block = SCALE_BLOCK[type];
    this.#values = Float32Array.from({ length: 255 }, (_, i) => decode(i - 127, type) ?? 0);
  }

  multiply(x: Float32Array, put: (row: number, sum: number) => void): void {
    const { columns } = this;
    const [codes, values, block] = [this.#codes, this.#values, this.#block];
    let scale = 0;
    for (let row = 0; row < this.rows; row++) {
      const base = row * columns;
      let sum = 0;
      for (let from = 0; from < columns; from += block) {
        const to = Math.min(columns, from + block);
        let part = 0;
        for (let c = from; c < to; c++) part += values[codes[base + c] + 127] * x[c];
        sum += part * this.#scales[scale++];
      }
      put(row, sum);
    }
  }

  row(index: number): Float32Array {
    const blocks = Math.ceil(this.columns / this.#block);
    return Float32Array.from({ length: this.columns }, (_, c) => {
      const scale = this.#scales[index * blocks + Math.floor(c / this.#block)];
      return this.#values[this.#codes[index * this.columns + c] + 127] * scale;
    });
  }
}
