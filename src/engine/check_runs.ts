/** Argument checks shared by all engines. */

import { InferenceError } from "../core/errors.ts";
import { STOP_WORDS } from "../../kernels/slot_layout.ts";
import { stateLength } from "../model/architectures/registry.ts";
import type { EngineInfo, GenerateRun, Run, SlotSampling } from "./engine.ts";

type Limits = Pick<EngineInfo, "dimensions" | "slots" | "maxStepTokens">;

/** Maximum tokens that a turn may sample. */
const MAX_LIMIT = 2 ** 31;

function invalid(message: string): InferenceError {
  return new InferenceError("invalid_value", message);
}

/** @throws InferenceError `invalid_value` naming what is out of range. */
export function checkRuns(runs: readonly Run[], limits: Limits) {
  const empty = runs.find(({ tokens }) => tokens.length === 0);
  if (empty) throw invalid(`Cannot run slot ${empty.slot}: its run has no tokens`);
  checkStep(runs, limits);
}

/** @throws InferenceError `invalid_value` naming what is out of range. */
export function checkGenerate(
  runs: readonly GenerateRun[],
  steps: number,
  limits: Limits & { maxSteps: number },
) {
  const { maxSteps } = limits;
  if (!Number.isInteger(steps) || steps < 1 || steps > maxSteps) {
    throw invalid(`Cannot run ${steps} steps: one call runs 1 to ${maxSteps}`);
  }
  const fixed = runs.find(({ tokens, sample }) => tokens.length > 0 || !sample);
  if (steps > 1 && fixed) {
    throw invalid(
      `Cannot run ${steps} steps with slot ${fixed.slot}: it does not continue from its own token`,
    );
  }
  checkStep(runs, limits);
}

function checkStep(
  runs: readonly Pick<Run, "slot" | "tokens">[],
  { dimensions, slots, maxStepTokens }: Limits,
) {
  const used = new Set<number>();
  for (const { slot, tokens } of runs) {
    checkSlot(slot, { slots });
    if (used.has(slot)) throw invalid(`Cannot run slot ${slot} twice in one step`);
    used.add(slot);
    for (const id of tokens) checkToken(id, dimensions);
  }
  // A run without tokens continues from its slot's own token.
  const total = runs.reduce((sum, { tokens }) => sum + Math.max(1, tokens.length), 0);
  if (total > maxStepTokens) {
    throw invalid(`Cannot run ${total} tokens in one step: the limit is ${maxStepTokens}`);
  }
}

function checkToken(id: number, { vocabulary }: Limits["dimensions"]) {
  if (!Number.isInteger(id) || id < 0 || id >= vocabulary) {
    throw invalid(`Cannot use token ${id}: this model has ids 0 to ${vocabulary - 1}`);
  }
}

/** @throws InferenceError `invalid_value` naming what is out of range. */
export function checkSlotSampling(
  { params, maxTokens, endToken, stops }: SlotSampling,
  { dimensions }: Pick<Limits, "dimensions">,
) {
  if (!Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > MAX_LIMIT) {
    throw invalid(`Cannot sample ${maxTokens} tokens: the limit must be 1 to ${MAX_LIMIT}`);
  }
  for (const id of params.logitBias.keys()) checkToken(id, dimensions);
  if (endToken !== null) checkToken(endToken, dimensions);
  if (stops && stops.words > STOP_WORDS) {
    throw invalid(
      `Cannot use these stop strings: they take ${stops.words} words of ${STOP_WORDS} allowed`,
    );
  }
}

/** @throws InferenceError `invalid_value` if the slot does not exist. */
export function checkSlot(slot: number, { slots }: Pick<Limits, "slots">) {
  if (!Number.isInteger(slot) || slot < 0 || slot >= slots) {
    throw invalid(`Cannot use slot ${slot}: this engine has slots 0 to ${slots - 1}`);
  }
}

/** @throws InferenceError `invalid_value` if the state has the wrong size or is not finite. */
export function checkState(state: Float32Array, { dimensions }: Pick<Limits, "dimensions">) {
  const length = stateLength(dimensions);
  if (state.length !== length) {
    throw invalid(
      `Cannot use a state with ${state.length} elements: this model's states have ${length}`,
    );
  }
  const at = state.findIndex((v) => !Number.isFinite(v));
  if (at >= 0) throw invalid(`Cannot use this state: it contains ${state[at]} at index ${at}`);
}

/** @throws InferenceError `numeric_fault` if the state contains NaN or infinity. */
export function assertFinite(state: Float32Array): void {
  const at = state.findIndex((v) => !Number.isFinite(v));
  if (at < 0) return;
  throw new InferenceError(
    "numeric_fault",
    `Cannot use the model's state: it contains ${
      state[at]
    } at index ${at}; start from another state`,
  );
}

/**
 * @throws InferenceError `numeric_fault` if a logit is not finite.
 */
export function checkLogits(logits: Float32Array, what: string) {
  for (let i = 0; i < logits.length; i++) {
    if (!Number.isFinite(logits[i])) {
      throw new InferenceError(
        "numeric_fault",
        `Cannot use the logits for ${what}: one is ${logits[i]}, so the weights or this state ` +
          "are damaged; start from another state",
      );
    }
  }
}
