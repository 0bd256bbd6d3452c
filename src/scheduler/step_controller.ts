/** How long steps take here, and so how many are done at once and how much of prompts they read. */

import type { EngineInfo } from "../engine/engine.ts";

/**
 * Milliseconds that a window aims at: text then comes smoothly, and read-backs from a GPU are few.
 * Windows of one step take up to ten more than the step there, so less would keep steps of 15
 * milliseconds apart for ever. Others wait for the windows under way.
 */
const WINDOW_MS = { webgpu: 50, cpu: 20 };

/** Calls that are under way at once. */
const AHEAD = 2;

/** Milliseconds by which reading prompts may lengthen a step that somebody's next token waits for. */
const READING_MS = 60;

/** Tokens of prompts that such a step reads however slow that is: else a prompt would not get on. */
const LEAST_READ = 16;

export class StepController {
  readonly #most: number;
  readonly #device: EngineInfo["device"];
  readonly #windowMs: number;
  readonly #costs: StepCosts;
  #steps = 1;
  /** Milliseconds of a token of a prompt; a moving mean. */
  #readMs: number | null = null;

  /**
   * @param engine Does the steps.
   * @param costs Learns from what this is told.
   */
  constructor(
    { maxSteps, info }: { maxSteps: number; info: Pick<EngineInfo, "device"> },
    costs: StepCosts,
  ) {
    this.#most = maxSteps;
    this.#device = info.device;
    this.#windowMs = WINDOW_MS[info.device];
    this.#costs = costs;
  }

  /**
   * Steps to do at once with `turns` turns: one at first, then twice as many each time until they
   * take as long as a window should.
   */
  windowSteps(turns: number): number {
    const ms = this.#costs.estimate(turns);
    return ms === null ? 1 : Math.max(1, Math.min(this.#steps, Math.round(this.#windowMs / ms)));
  }

  /**
   * Whether another call may be made while these have not come back. A GPU works on one while the
   * results of another are read; on the CPU that saves little, and who comes next waits for both.
   */
  canLaunch(flights: readonly { steps: number; turns: readonly unknown[] }[]): boolean {
    if (flights.length >= AHEAD) return false;
    if (this.#device === "webgpu") return true;
    const ms = flights.map(({ steps, turns }) => steps * (this.#costs.estimate(turns.length) ?? 0));
    return ms.reduce((sum, own) => sum + own, 0) <= this.#windowMs;
  }

  /** Tokens of prompts to read in a step in which others write. */
  get prefillBudget(): number {
    if (this.#readMs === null) return LEAST_READ;
    return Math.max(LEAST_READ, Math.floor(READING_MS / this.#readMs));
  }

  /** `steps` steps took `ms` milliseconds, in which `turns` turns wrote and nothing was read. */
  decodeCompleted(steps: number, turns: number, ms: number): void {
    this.#costs.observe(turns, ms / steps);
    this.#steps = Math.min(2 * steps, this.#most);
  }

  /** A step took `ms` milliseconds in which `tokens` tokens of prompts were read. */
  prefillCompleted(tokens: number, ms: number, { writing }: { writing: number }): void {
    const own = writing > 0 ? this.#costs.estimate(writing) ?? 0 : 0;
    this.#readMs = mean(this.#readMs, Math.max(ms - own, ms / 10) / tokens);
    // Somebody waits for a first token, or has just had it.
    this.#steps = 1;
  }
}

function mean(before: number | null, now: number): number {
  return before === null ? now : (before + now) / 2;
}

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
