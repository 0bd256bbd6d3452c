/** Decides what the next step runs: a pure function of what the turns still have to feed. */

/** How many tokens of which turn a step feeds. */
export interface PlannedRun {
  /** Index into the turns that were asked about. */
  turn: number;
  count: number;
}

/**
 * Shares a step of at most `budget` tokens: first one token for every turn that is writing, then
 * pieces of prompts, first come first served.
 *
 * @param left Tokens that each turn has left to feed, in order of arrival; 1 is a turn that writes.
 */
export function planStep(left: readonly number[], budget: number): PlannedRun[] {
  const order = [...left.keys()].sort((a, b) => Number(left[a] > 1) - Number(left[b] > 1) || a - b);
  const runs: PlannedRun[] = [];
  for (const turn of order) {
    const count = Math.min(left[turn], budget);
    if (count === 0) continue;
    runs.push({ turn, count });
    budget -= count;
  }
  return runs;
}
