/**
 * Matrix times activations, `y[t] = W x[t]`, with what follows it fused in: as `linearRows`, whose
 * threads own rows and keep sums for some of them and some tokens in registers, and as `matmul`,
 * whose workgroups share tiles of both. Which is faster depends on adapter and number of tokens.
 *
 * Both add in the same order, so that a row's result does not depend on how many tokens share a
 * step: columns in segments of `SEGMENT`, each segment summed from its first column to its last in
 * four lanes (column mod 4) with fused multiply-adds, lanes joined as (0 + 1) + (2 + 3), segments
 * added from first to last. Sums start from a zero that the compiler cannot see (`counts.w`): from
 * a literal one it may turn the first fused multiply-add into a product, and fuse that with the
 * addition of another lane.
 */

import matmulSource from "./matmul.wgsl" with { type: "text" };
import { linearRowsSource, type RowsTile } from "./linear_rows.ts";
import { ROW_BLOCK, type WeightType } from "./layouts.ts";
import { type Access, type KernelSpec, roundUp } from "./spec.ts";
import { WEIGHT_READER, weightConstants } from "./weights.ts";

export type { RowsTile } from "./linear_rows.ts";

/** Columns summed as one; fixed, since results depend on it. */
export const SEGMENT = 128;

/** Applied to a row's sum. */
export type Activation = "none" | "silu" | "sigmoid" | "relu2";

/** `store` writes, `add` adds to what is there, `gatedAdd` multiplies by a gate and adds. */
export type Write = "store" | "add" | "gatedAdd";

export interface LinearSizes {
  /** Rows of this part of the matrix. */
  rows: number;
  columns: number;
  type: WeightType;
  /** Where this part's first row goes in a row of `y`. */
  rowOffset: number;
  /** Numbers between the starts of two tokens' rows of `y` (and of the gate). */
  outStride: number;
  /** Which count the tokens are: all tokens of a step, or those whose logits are wanted. */
  per: "tokens" | "outputs";
  activation: Activation;
  write: Write;
}

const ACTIVATION: Record<Activation, string> = {
  none: "fn activate(v: f32) -> f32 { return v; }",
  silu: "fn activate(v: f32) -> f32 { return v / (1.0 + exp(-v)); }",
  sigmoid: "fn activate(v: f32) -> f32 { return 1.0 / (1.0 + exp(-v)); }",
  relu2: "fn activate(v: f32) -> f32 { let p = max(v, 0.0); return p * p; }",
};

const WRITE: Record<Write, string> = {
  store: "fn put(i: u32, v: f32) { y[i] = activate(v); }",
  add: "fn put(i: u32, v: f32) { y[i] = y[i] + activate(v); }",
  gatedAdd: `
@group(0) @binding(4) var<storage, read> gate: array<f32>;
fn put(i: u32, v: f32) { y[i] = fma(gate[i], activate(v), y[i]); }`,
};

function source(body: string) {
  return ({ type, activation, write }: LinearSizes) =>
    `${WEIGHT_READER[type]}\n${ACTIVATION[activation]}\n${WRITE[write]}\n${body}`;
}

function constants(sizes: LinearSizes) {
  const { rows, columns, rowOffset, outStride } = sizes;
  return {
    ROWS: Math.min(roundUp(rows, 4), outStride - rowOffset),
    ...weightConstants(sizes),
    SEGMENT4: SEGMENT / 4,
    SEGMENTS: Math.ceil(columns / SEGMENT),
    ROW_OFFSET: rowOffset,
    OUT_STRIDE: outStride,
    COUNT: sizes.per === "tokens" ? 0 : 2,
  };
}

function bindings({ write }: LinearSizes): Record<string, Access> {
  const all = { weights: "read", x: "read", y: "readWrite", counts: "uniform" } as const;
  return write === "gatedAdd" ? { ...all, gate: "read" } : all;
}

export type LinearRowsSizes = LinearSizes & { tile: RowsTile };

/** Rows by thread, sums in registers: reads each weight once for the tokens of a tile. */
export const linearRows: KernelSpec<LinearRowsSizes> = {
  name: "linear_rows",
  source: (sizes) => source(linearRowsSource(sizes.tile))(sizes),
  bindings,
  constants: (sizes) => ({ ...constants(sizes), LANES: sizes.tile.lanes }),
  grid: ({ rows, per, tile }, counts) => [
    Math.ceil(rows / (ROW_BLOCK * tile.rowBlocks * tile.threadBlocks)),
    Math.ceil(counts[per] / tile.tokens),
    1,
  ],
};

/** Rows and tokens of one workgroup's tile in `matmul`. */
export const TILE = 32;

/** Tiled matrix-matrix. */
export const matmul: KernelSpec<LinearSizes> = {
  name: "matmul",
  source: source(matmulSource),
  bindings,
  constants,
  grid: (sizes, counts) => [
    Math.ceil(sizes.rows / TILE),
    Math.ceil(counts[sizes.per] / TILE),
    1,
  ],
};

/**
 * Plain loops in float64. W `[rows, columns]`, x `[tokens, columns]`, y and gate
 * `[tokens, outStride]`, y changed in place.
 */
export function linearReference(
  data: { W: Float32Array; x: Float32Array; y: Float32Array; gate?: Float32Array },
  sizes: LinearSizes & { tokens: number },
): void {
  const { rows, columns, tokens, rowOffset, outStride, activation, write } = sizes;
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
