/** Measures how long steps take, and derives the length of windows and the prefill budget. */

import type { EngineInfo } from "../engine/engine.ts";

/**
 * Target duration of a window in milliseconds: streams stay smooth and read-backs from a GPU stay
 * rare. A window of one step takes up to 10 ms longer than the step on a GPU, so a smaller target
 * would never combine steps of 15 ms. Other turns wait for the windows in flight.
 */
const WINDOW_MS = { webgpu: 50, cpu: 20 };

/** Maximum number of calls in flight. */
const MAX_IN_FLIGHT = 2;

/** Milliseconds by which prefill may lengthen a step that also decodes. */
const PREFILL_MS = 60;

/** Minimum number of prompt tokens of such a step, so that a slow engine still makes progress. */
const MIN_PREFILL_TOKENS = 16;

export class StepController {
  readonly #maxSteps: number;
  readonly #device: EngineInfo["device"];
  readonly #windowMs: number;
  readonly #costs: StepCosts;
  #steps = 1;
  /** Milliseconds of one prompt token, as a moving average. */
  #prefillTokenMs: number | null = null;

  /**
   * Creates a controller.
   *
   * @param engine Executes the steps.
   * @param costs Receives the measured times.
   */
  constructor(
    { maxSteps, info }: { maxSteps: number; info: Pick<EngineInfo, "device"> },
    costs: StepCosts,
  ) {
    this.#maxSteps = maxSteps;
    this.#device = info.device;
    this.#windowMs = WINDOW_MS[info.device];
    this.#costs = costs;
  }

  /**
   * Returns the number of steps of the next window with `turns` turns: one at first, doubled until
   * the window reaches its target duration.
   */
  windowSteps(turns: number): number {
    const ms = this.#costs.estimate(turns);
    return ms === null ? 1 : Math.max(1, Math.min(this.#steps, Math.round(this.#windowMs / ms)));
  }

  /**
   * Whether another call may be launched. A GPU can execute one call while the results of another
   * are read. On the CPU this saves little, and a new turn waits for both calls.
   */
  canLaunch(inFlight: readonly { steps: number; turns: readonly unknown[] }[]): boolean {
    if (inFlight.length >= MAX_IN_FLIGHT) return false;
    if (this.#device === "webgpu") return true;
    const ms = inFlight.map(({ steps, turns }) =>
      steps * (this.#costs.estimate(turns.length) ?? 0)
    );
    return ms.reduce((sum, stepMs) => sum + stepMs, 0) <= this.#windowMs;
  }

  /** Maximum number of prompt tokens of a step that also decodes. */
  get prefillBudget(): number {
    if (this.#prefillTokenMs === null) return MIN_PREFILL_TOKENS;
    return Math.max(MIN_PREFILL_TOKENS, Math.floor(PREFILL_MS / this.#prefillTokenMs));
  }

  /**
   * Records that a window of `steps` steps with `turns` decoding turns and no prefill took `ms` ms.
   */
  decodeCompleted(steps: number, turns: number, ms: number): void {
    this.#costs.observe(turns, ms / steps);
    this.#steps = Math.min(2 * steps, this.#maxSteps);
  }

  /** Records that a step with `tokens` prompt tokens took `ms` milliseconds. */
  prefillCompleted(tokens: number, ms: number, { decoding }: { decoding: number }): void {
    const decodeMs = decoding > 0 ? this.#costs.estimate(decoding) ?? 0 : 0;
    this.#prefillTokenMs = mean(this.#prefillTokenMs, Math.max(ms - decodeMs, ms / 10) / tokens);
    // A turn waits for its first token, or has just received it.
    this.#steps = 1;
  }
}

function mean(before: number | null, now: number): number {
  return before === null ? now : (before + now) / 2;
}

/** Weight of a new time in the moving average. */
const WEIGHT = 0.5;

export class StepCosts {
  /** Milliseconds of a step, by the number of decoding turns. */
  readonly #ms = new Map<number, number>();

  /** Records that a step with `turns` turns took `ms` milliseconds. */
  observe(turns: number, ms: number): void {
    const before = this.#ms.get(turns) ?? ms;
    this.#ms.set(turns, before + WEIGHT * (ms - before));
  }

  /**
   * Estimates the milliseconds of a step with `turns` turns; `null` if nothing was measured.
   * Interpolates between measured numbers. Beyond them it assumes the same cost for each turn, so
   * that small steps are tried and measured.
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
