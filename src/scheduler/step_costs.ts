/** How long steps take by how many turns write in them, learned from those that have come back. */

/** Part of a new time in the moving mean. */
const WEIGHT = 0.5;

export class StepCosts {
  /** Milliseconds of a step, by turns. */
  readonly #ms = new Map<number, number>();

  /** Learns that a step with `turns` turns took `ms` milliseconds. */
  observe(turns: number, ms: number): void {
    const before = this.#ms.get(turns) ?? ms;
    this.#ms.set(turns, before + WEIGHT * (ms - before));
  }

  /**
   * Milliseconds of a step with `turns` turns; `null` while none is known. Between known numbers it
   * interpolates; beyond them it takes each turn to cost the same, so that small steps are tried, and
   * become known.
   */
  estimate(turns: number): number | null {
    if (this.#ms.size === 0) return null;
    let [below, above] = [0, Infinity];
    for (const known of this.#ms.keys()) {
      if (known <= turns) below = Math.max(below, known);
      if (known >= turns) above = Math.min(above, known);
    }
    const belowMs = this.#ms.get(below) ?? 0;
    if (below === turns) return belowMs;
    const aboveMs = this.#ms.get(above);
    if (aboveMs === undefined) return belowMs * turns / below;
    return belowMs + (aboveMs - belowMs) * (turns - below) / (above - below);
  }
}
