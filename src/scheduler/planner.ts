/** Decides what the next step runs: a pure function of what the turns still have to feed. */

import { groupBy } from "../core/group_by.ts";

/** A turn as planning sees it. */
export interface PlannableTurn {
  /** Whose it is: keys share steps evenly. */
  readonly fairnessKey: string;
  /** Tokens that it can feed now; of a turn that writes, one or none. */
  readonly schedulableTokens: number;
  /** Whether it goes on from its own token. */
  readonly decoding: boolean;
}

/** How many tokens of which turn a step feeds. */
export interface PlannedRun<T> {
  turn: T;
  count: number;
}

export interface StepBudget {
  /** Tokens of a step, at most. */
  maxTokens: number;
  /** Tokens of prompts in a step that somebody's next token waits for, at most. */
  maxPrefillTokens: number;
}

/**
 * Shares a step: first one token for every turn that writes, then pieces of prompts. Keys with
 * prompts share evenly what is left; within a key, first come first served.
 *
 * @param turns In order of arrival. Those that write fit into a step.
 */
export function planStep<T extends PlannableTurn>(
  turns: readonly T[],
  { maxTokens: tokens, maxPrefillTokens: besideWriting }: StepBudget,
): PlannedRun<T>[] {
  const able = turns.filter(({ schedulableTokens: feedable }) => feedable > 0);
  const runs = able.filter(({ decoding: writing }) => writing)
    .slice(0, tokens)
    .map((turn) => ({ turn, count: 1 }));
  const rest = tokens - runs.length;
  const budget = runs.length > 0 ? Math.min(rest, besideWriting) : rest;
  return [...runs, ...sharePrompts(able.filter(({ decoding: writing }) => !writing), budget)];
}

function sharePrompts<T extends PlannableTurn>(
  turns: readonly T[],
  budget: number,
): PlannedRun<T>[] {
  const keys = [...groupBy(turns, ({ fairnessKey: key }) => key).values()]
    .map((own) => ({
      own,
      wanted: own.reduce((sum, { schedulableTokens: feedable }) => sum + feedable, 0),
    }))
    // Who wants least is served first, and leaves what it does not need to the others.
    .sort((a, b) => a.wanted - b.wanted);
  const runs: PlannedRun<T>[] = [];
  for (const [i, { own, wanted }] of keys.entries()) {
    let share = Math.min(wanted, Math.ceil(budget / (keys.length - i)));
    budget -= share;
    for (const turn of own) {
      const count = Math.min(share, turn.schedulableTokens);
      if (count === 0) break;
      runs.push({ turn, count });
      share -= count;
    }
  }
  return runs;
}
