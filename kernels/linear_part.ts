/** A part of a linear kernel: the rows it multiplies, and where and how it writes their sums. */

import { roundUp } from "./spec.ts";

/** Activation function applied to a row's sum. */
export type Activation = "none" | "silu" | "sigmoid" | "relu2";

/** Rows of a matrix, in a buffer shared with other matrices, and the position of their outputs. */
export interface LinearPart {
  rows: number;
  /** Blocks that precede these rows in the buffer. */
  firstBlock: number;
  /** Elements before the first token's row in `x` (a multiple of 4) and in `y`. */
  xOffset: number;
  yOffset: number;
  /** Position of the first row's output within a row of `y`. */
  rowOffset: number;
  /** Elements between the starts of two tokens' rows of `y` and of the gate. */
  outStride: number;
  activation: Activation;
}

/** WGSL expression of each activation of a sum `v`. */
export const ACTIVATION: Record<Activation, string> = {
  none: "v",
  silu: "v / (1.0 + exp(-v))",
  sigmoid: "1.0 / (1.0 + exp(-v))",
  relu2: "max(v, 0.0) * max(v, 0.0)",
};

/** Returns the number of rows written, including padding rows if they fit into a row of `y`. */
export function writtenRows({ rows, rowOffset, outStride }: LinearPart): number {
  return Math.min(roundUp(rows, 4), outStride - rowOffset);
}
