/** What a linear kernel multiplies: rows in a buffer, and what becomes of their sums. */

import { roundUp } from "./spec.ts";

/** Applied to a row's sum. */
export type Activation = "none" | "silu" | "sigmoid" | "relu2";

/** Rows of a matrix in a buffer that may hold other matrices too, and where their sums go. */
export interface LinearPart {
  rows: number;
  /** Blocks before these rows in the buffer. */
  firstBlock: number;
  /** Numbers before the first token's row of `x`, a multiple of 4, and of `y`. */
  xOffset: number;
  yOffset: number;
  /** Where the first of the rows goes in a row of `y`. */
  rowOffset: number;
  /** Numbers between the starts of two tokens' rows of `y` (and of the gate). */
  outStride: number;
  activation: Activation;
}

/** What becomes of a sum `v`. */
export const ACTIVATION: Record<Activation, string> = {
  none: "v",
  silu: "v / (1.0 + exp(-v))",
  sigmoid: "1.0 / (1.0 + exp(-v))",
  relu2: "max(v, 0.0) * max(v, 0.0)",
};

/** Rows that are written: padding too, where a row of `y` has room for it. */
export function writtenRows({ rows, rowOffset, outStride }: LinearPart): number {
  return Math.min(roundUp(rows, 4), outStride - rowOffset);
}
