/**
 * Matrix times activations, `y[t] = W x[t]`, fused with the activation function and the write mode.
 * There are two kernels: in `linearRows`, each thread accumulates some rows for some tokens in
 * registers; in `matmul`, workgroups share tiles of weights and activations. Which one is faster
 * depends on the adapter and the number of tokens.
 *
 * Both add in the same order, so that a row's result does not depend on how many tokens share a
 * step. Columns are split into segments of `SEGMENT`. Each segment is summed from its first to its
 * last column in four lanes (column mod 4) with fused multiply-adds; the lanes are added as
 * (0 + 1) + (2 + 3), and the segments from first to last. Sums start from a zero that the compiler
 * cannot see (`counts.w`): given a literal zero, it may turn the first fused multiply-add into a
 * product and fuse that product with the addition of another lane.
 */

import matmulSource from "./matmul.wgsl" with { type: "text" };
import { ACTIVATION, type LinearPart, writtenRows } from "./linear_part.ts";
import { linearRowsSource, type RowsTile, workgroupCount } from "./linear_rows.ts";
import { LAYER_NORM_EPS, NORM_THREADS } from "./layer_norm.ts";
import { matrixBytes, ROW_BLOCK, type WeightType } from "./layouts.ts";
import type { Access, KernelSpec, StepCounts } from "./spec.ts";
import { WEIGHT_READER, weightConstants } from "./weights.ts";

export type { Activation, LinearPart } from "./linear_part.ts";
export { balanceTile, type RowsTile } from "./linear_rows.ts";

/** Columns per segment. Fixed, because results depend on it. */
export const SEGMENT = 128;

/** `store` overwrites y, `add` adds to y, `gatedAdd` multiplies by a gate and adds to y. */
export type WriteMode = "store" | "add" | "gatedAdd";

export interface LinearSizes {
  parts: readonly LinearPart[];
  columns: number;
  type: WeightType;
  /** Total rows of the buffer. */
  bufferRows: number;
  /** Which tokens are processed: all tokens of a step, or only those that need logits. */
  per: "tokens" | "outputs";
  write: WriteMode;
}

const WRITE: Record<WriteMode, string> = {
  store: "fn put(i: u32, v: f32) { y[i] = v; }",
  add: "fn put(i: u32, v: f32) { y[i] = y[i] + v; }",
  gatedAdd: `
@group(0) @binding(4) var<storage, read> gate: array<f32>;
fn put(i: u32, v: f32) { y[i] = fma(gate[i], v, y[i]); }`,
};

function source({ type, write }: LinearSizes, body: string): string {
  return `${WEIGHT_READER[type]}\n${WRITE[write]}\n${body}`;
}

function constants({ columns, type, bufferRows, per }: LinearSizes) {
  return {
    ...weightConstants({ rows: bufferRows, columns, type }),
    SEGMENT4: SEGMENT / 4,
    SEGMENTS: Math.ceil(columns / SEGMENT),
    COUNT: per === "tokens" ? 0 : 2,
  };
}

function bindings({ write }: LinearSizes): Record<string, Access> {
  const all = { weights: "read", x: "read", y: "readWrite", counts: "uniform" } as const;
  return write === "gatedAdd" ? { ...all, gate: "read" } : all;
}

export type LinearRowsSizes = LinearSizes & { tile: RowsTile };

function variant({ parts, columns, type }: LinearSizes): string {
  return `${parts.reduce((sum, { rows }) => sum + rows, 0)} x ${columns} ${type}`;
}

/** Returns the bytes of weights read: all of them once per tile of `tokens` tokens. */
function weightBytes(
  { parts, columns, type, per }: LinearSizes,
  counts: StepCounts,
  tokens: number,
): number {
  const bytes = parts.reduce((sum, { rows }) => sum + matrixBytes(rows, columns, type), 0);
  return bytes * Math.ceil(counts[per] / tokens);
}

/** Returns how many floats of workgroup memory `linearRows` uses for partial sums. */
export function sharedSumCount(
  { rowBlocks, tokens, lanes, threadBlocks }: RowsTile,
  columns: number,
): number {
  if (lanes === 1) return 0;
  return Math.ceil(columns / SEGMENT) * rowBlocks * tokens * ROW_BLOCK * threadBlocks;
}

/** One row per thread with sums in registers; reads each weight once per tile of tokens. */
export const linearRows: KernelSpec<LinearRowsSizes> = {
  name: "linear_rows",
  source: (sizes) => source(sizes, linearRowsSource({ ...sizes, shifted: false })),
  bindings,
  constants: (sizes) => ({ ...constants(sizes), LANES: sizes.tile.lanes }),
  grid: ({ parts, per, tile }, counts) => [
    parts.reduce((sum, part) => sum + workgroupCount(part, tile), 0),
    Math.ceil(counts[per] / tile.tokens),
    1,
  ],
  variant,
  bytes: (sizes, counts) => weightBytes(sizes, counts, sizes.tile.tokens),
};

/**
 * `normShift` fused with `linearRows`, for runs of one token. A part's `xOffset` is the start of
 * its mix in `mix`. Shapes as in `normShift`, except y, which is as in `linearRows`.
 */
export const linearShifted: KernelSpec<LinearRowsSizes> = {
  name: "linear_shifted",
  source: (sizes) => source(sizes, linearRowsSource({ ...sizes, shifted: true })),
  bindings: () => ({
    weights: "read",
    x: "read",
    y: "readWrite",
    counts: "uniform",
    norm: "read",
    mix: "read",
    rows: "read",
    shiftIn: "read",
    shiftOut: "readWrite",
  }),
  constants: (sizes) => ({
    ...linearRows.constants(sizes),
    THREADS: NORM_THREADS,
    GROUP_THREADS: ROW_BLOCK * sizes.tile.threadBlocks * sizes.tile.lanes,
    EPS: { f32: LAYER_NORM_EPS },
  }),
  grid: linearRows.grid,
  variant,
  bytes: (sizes, counts) => weightBytes(sizes, counts, sizes.tile.tokens),
};

/** Rows, and also tokens, of a workgroup's tile in `matmul`. */
export const TILE = 32;

/** Tiled matrix-matrix product, for one part. */
export const matmul: KernelSpec<LinearSizes> = {
  name: "matmul",
  source: (sizes) => {
    const [{ activation }] = sizes.parts;
    const activate = `fn activate(v: f32) -> f32 { return ${ACTIVATION[activation]}; }`;
    return source(sizes, `${activate}\n${matmulSource}`);
  },
  bindings,
  constants: (sizes) => {
    const [part] = sizes.parts;
    return {
      ...constants(sizes),
      ROWS: writtenRows(part),
      FIRST_BLOCK: part.firstBlock,
      X_OFFSET4: part.xOffset / 4,
      Y_OFFSET: part.yOffset + part.rowOffset,
      OUT_STRIDE: part.outStride,
    };
  },
  grid: ({ parts: [{ rows }], per }, counts) => [
    Math.ceil(rows / TILE),
    Math.ceil(counts[per] / TILE),
    1,
  ],
  variant,
  bytes: (sizes, counts) => weightBytes(sizes, counts, TILE),
};

/**
 * Reference in plain loops and float64, for one part. W `[rows, columns]`, x `[tokens, columns]`, y
 * and gate `[tokens, outStride]`; updates y in place.
 */
export function linearReference(
  data: { W: Float32Array; x: Float32Array; y: Float32Array; gate?: Float32Array },
  { part, columns, tokens, write }: {
    part: Pick<LinearPart, "rows" | "rowOffset" | "outStride" | "activation">;
    columns: number;
    tokens: number;
    write: WriteMode;
  },
): void {
  const { rows, rowOffset, outStride, activation } = part;
  for (let t = 0; t < tokens; t++) {
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let c = 0; c < columns; c++) sum += data.W[row * columns + c] * data.x[t * columns + c];
      if (activation === "silu") sum /= 1 + Math.exp(-sum);
      if (activation === "sigmoid") sum = 1 / (1 + Math.exp(-sum));
      if (activation === "relu2") sum = sum > 0 ? sum * sum : 0;
      const i = t * outStride + rowOffset + row;
      if (write === "store") data.y[i] = sum;
      if (write === "add") data.y[i] += sum;
      if (write === "gatedAdd") data.y[i] += data.gate![i] * sum;
    }
  }
}
