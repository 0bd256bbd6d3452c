/** Plans the next step: a pure function of the tokens that turns have to process. */

import { groupBy } from "../core/group_by.ts";

/** The fields of a turn that the planner reads. */
export interface PlannableTurn {
  /** Groups turns for fairness: keys share steps evenly. */
  readonly fairnessKey: string;
  /** Tokens that the turn can process now; at most one if it is decoding. */
  readonly schedulableTokens: number;
  /** Whether the turn generates tokens, so that its next input is its own last token. */
  readonly decoding: boolean;
}

/** Number of tokens that a step processes for one turn. */
export interface PlannedRun<T> {
  turn: T;
  count: number;
}

export interface StepBudget {
  /** Maximum number of tokens of a step. */
  maxTokens: number;
  /** Maximum number of prompt tokens of a step that also decodes. */
  maxPrefillTokens: number;
}

/**
 * Plans a step: one token for every decoding turn, then prompt chunks. Keys share the remaining
 * tokens evenly; within a key, the first turn is served first.
 *
 * @param turns In order of arrival. The decoding turns fit into one step.
 */
export function planStep<T extends PlannableTurn>(
  turns: readonly T[],
  { maxTokens, maxPrefillTokens }: StepBudget,
): PlannedRun<T>[] {
  const schedulable = turns.filter(({ schedulableTokens }) => schedulableTokens > 0);
  const runs = schedulable.filter(({ decoding }) => decoding)
    .slice(0, maxTokens)
    .map((turn) => ({ turn, count: 1 }));
  const remaining = maxTokens - runs.length;
  const budget = runs.length > 0 ? Math.min(remaining, maxPrefillTokens) : remaining;
  return [...runs, ...sharePrompts(schedulable.filter(({ decoding }) => !decoding), budget)];
}

function sharePrompts<T extends PlannableTurn>(
  turns: readonly T[],
  budget: number,
): PlannedRun<T>[] {
  const keys = [...groupBy(turns, ({ fairnessKey }) => fairnessKey).values()]
    .map((keyTurns) => ({
      keyTurns,
      demand: keyTurns.reduce((sum, { schedulableTokens }) => sum + schedulableTokens, 0),
    }))
    // The key with the smallest demand goes first and leaves its unused share to the others.
    .sort((a, b) => a.demand - b.demand);
  const runs: PlannedRun<T>[] = [];
  for (const [i, { keyTurns, demand }] of keys.entries()) {
    let share = Math.min(demand, Math.ceil(budget / (keys.length - i)));
    budget -= share;
    for (const turn of keyTurns) {
      const count = Math.min(share, turn.schedulableTokens);
      if (count === 0) break;
      runs.push({ turn, count });
      share -= count;
    }
  }
  return runs;
}
