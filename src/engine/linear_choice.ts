/**
 * Which tile of `linear_rows` multiplies a matrix, by the number of tokens in a step.
 *
 * Results don't depend on it: every kernel adds in the same order.
 */

import { type RowsTile, SEGMENT } from "../../kernels/linear.ts";

/** For steps of up to `tokens` tokens that no choice before takes; `null` is `matmul`. */
export interface LinearChoice {
  tokens: number;
  tile: RowsTile | null;
}

/** Threads that a workgroup aims at on a GPU. */
const GPU_THREADS = 64;

/** Choices in ascending order; only those that steps of up to `most` tokens need. */
export function linearChoices(
  { columns, most }: { columns: number; most: number },
  { software }: { software: boolean },
): LinearChoice[] {
  const choices = software ? SOFTWARE_CHOICES : gpuChoices(columns);
  return choices.slice(0, choices.findIndex(({ tokens }) => tokens >= most) + 1);
}

/**
 * A software adapter runs threads one vector after the other on few cores: what counts is how much
 * is computed for every load, so threads own many rows and tokens.
 */
const SOFTWARE_CHOICES: LinearChoice[] = [
  { tokens: 1, tile: { rowBlocks: 4, tokens: 1, lanes: 1, threadBlocks: 2 } },
  { tokens: 4, tile: { rowBlocks: 4, tokens: 4, lanes: 1, threadBlocks: 1 } },
  { tokens: 8, tile: { rowBlocks: 8, tokens: 8, lanes: 1, threadBlocks: 1 } },
  { tokens: Infinity, tile: { rowBlocks: 16, tokens: 8, lanes: 1, threadBlocks: 1 } },
];

/** A GPU needs many threads: there they share rows, a segment of columns each. */
function gpuChoices(columns: number): LinearChoice[] {
  const lanes = Math.min(16, Math.ceil(columns / SEGMENT));
  const threadBlocks = Math.max(1, Math.floor(GPU_THREADS / 8 / lanes));
  const few = { rowBlocks: 1, lanes, threadBlocks };
  return [
    { tokens: 1, tile: { ...few, tokens: 1 } },
    { tokens: 4, tile: { ...few, tokens: 4 } },
    { tokens: Infinity, tile: null },
  ];
}
