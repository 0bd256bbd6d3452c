/** The layout of a step's runs for the kernels. */

import type { StepCounts } from "../../../kernels/spec.ts";

export interface StepInput {
  /** `u32[tokens, 4]` and `u32[runs, 4]`, as in `StepInputs`. */
  rows: number[];
  runs: number[];
  /** Rows that need logits. */
  outputRows: number[];
}

/** Concatenates runs; `needsLogits` returns whether the run's i-th token needs logits. */
export function buildStepInput(
  runs: readonly { slot: number; tokens: readonly number[]; needsLogits: (i: number) => boolean }[],
): StepInput {
  const input: StepInput = { rows: [], runs: [], outputRows: [] };
  for (const { slot, tokens, needsLogits } of runs) {
    const first = input.rows.length / 4;
    input.runs.push(slot, first, tokens.length, 0);
    tokens.forEach((id, i) => {
      input.rows.push(id, slot, i === 0 ? 1 : 0, i === tokens.length - 1 ? 1 : 0);
      if (needsLogits(i)) input.outputRows.push(first + i);
    });
  }
  return input;
}

/** @param gathered Number of first runs whose token is gathered on the device. */
export function stepCounts({ rows, runs, outputRows }: StepInput, gathered = 0): StepCounts {
  return { tokens: rows.length / 4, runs: runs.length / 4, outputs: outputRows.length, gathered };
}
