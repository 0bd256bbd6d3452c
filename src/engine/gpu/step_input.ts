/** How the runs of a step are laid out for the kernels. */

import type { StepCounts } from "../../../kernels/spec.ts";

export interface StepInput {
  /** `u32[tokens, 4]` and `u32[runs, 4]`, as `StepInputs` tells. */
  rows: number[];
  runs: number[];
  /** Rows whose logits are wanted. */
  outputRows: number[];
}

/** Lays runs out one after the other; `wanted` tells which of their tokens' logits are. */
export function buildStepInput(
  runs: readonly { slot: number; tokens: readonly number[]; wanted: (i: number) => boolean }[],
): StepInput {
  const input: StepInput = { rows: [], runs: [], outputRows: [] };
  for (const { slot, tokens, wanted } of runs) {
    const first = input.rows.length / 4;
    input.runs.push(slot, first, tokens.length, 0);
    tokens.forEach((id, i) => {
      input.rows.push(id, slot, i === 0 ? 1 : 0, i === tokens.length - 1 ? 1 : 0);
      if (wanted(i)) input.outputRows.push(first + i);
    });
  }
  return input;
}

/** @param fed How many of the first runs go on from a token on the device. */
export function stepCounts({ rows, runs, outputRows: chosen }: StepInput, fed = 0): StepCounts {
  return { tokens: rows.length / 4, runs: runs.length / 4, outputs: chosen.length, gathered: fed };
}
