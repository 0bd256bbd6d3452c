/** Checks of what a caller asks of an engine, the same for every engine. */

import { InferenceError } from "../core/errors.ts";
import { STOP_WORDS } from "../../kernels/slot_layout.ts";
import { stateLength } from "../model/architectures/registry.ts";
import type { EngineInfo, GenerateRun, Run, SlotSampling } from "./engine.ts";

type Limits = Pick<EngineInfo, "dimensions" | "slots" | "maxStepTokens">;

/** Largest number of tokens that a turn may be told to sample. */
const MAX_LIMIT = 2 ** 31;

function refuse(message: string): InferenceError {
  return new InferenceError("invalid_value", message);
}

/** @throws InferenceError `invalid_value` naming what is out of range. */
export function checkRuns(runs: readonly Run[], limits: Limits) {
  const empty = runs.find(({ tokens }) => tokens.length === 0);
  if (empty) throw refuse(`Cannot run slot ${empty.slot}: it has no token`);
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
    throw refuse(`Cannot do ${steps} steps at once: this engine does 1 to ${maxSteps}`);
  }
  const fixed = runs.find(({ tokens, sample }) => tokens.length > 0 || !sample);
  if (steps > 1 && fixed) {
    throw refuse(`Cannot do ${steps} steps with slot ${fixed.slot}: it does not go on by itself`);
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
    if (used.has(slot)) throw refuse(`Cannot run slot ${slot} twice in one step`);
    used.add(slot);
    for (const id of tokens) checkToken(id, dimensions);
  }
  // One that brings none goes on from its own token.
  const total = runs.reduce((sum, { tokens }) => sum + Math.max(1, tokens.length), 0);
  if (total > maxStepTokens) {
    throw refuse(`Cannot run ${total} tokens in one step: this engine takes ${maxStepTokens}`);
  }
}

function checkToken(id: number, { vocabulary }: Limits["dimensions"]) {
  if (!Number.isInteger(id) || id < 0 || id >= vocabulary) {
    throw refuse(`Cannot use token ${id}: ids of this model are 0 to ${vocabulary - 1}`);
  }
}

/** @throws InferenceError `invalid_value` naming what is out of range. */
export function checkSlotSampling(
  { params, maxTokens: limit, endToken, stops }: SlotSampling,
  { dimensions }: Pick<Limits, "dimensions">,
) {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw refuse(`Cannot sample ${limit} tokens: it must be 1 to ${MAX_LIMIT}`);
  }
  for (const id of params.logitBias.keys()) checkToken(id, dimensions);
  if (endToken !== null) checkToken(endToken, dimensions);
  if (stops && stops.words > STOP_WORDS) {
    throw refuse(`Cannot search for stop strings of ${stops.words} words`);
  }
}

/** @throws InferenceError `invalid_value` if there is no such slot. */
export function checkSlot(slot: number, { slots }: Pick<Limits, "slots">) {
  if (!Number.isInteger(slot) || slot < 0 || slot >= slots) {
    throw refuse(`Cannot use slot ${slot}: this engine has slots 0 to ${slots - 1}`);
  }
}

/** @throws InferenceError `invalid_value` if the state is of another size or not finite. */
export function checkState(state: Float32Array, { dimensions }: Pick<Limits, "dimensions">) {
  const length = stateLength(dimensions);
  if (state.length !== length) {
    throw refuse(
      `Cannot use a state of ${state.length} numbers: this model's states have ${length}`,
    );
  }
  const at = state.findIndex((v) => !Number.isFinite(v));
  if (at >= 0) throw refuse(`Cannot use a state that holds ${state[at]} at index ${at}`);
}

/** @throws InferenceError `numeric_fault` for a state that is not to be kept. */
export function assertFinite(state: Float32Array): void {
  const at = state.findIndex((v) => !Number.isFinite(v));
  if (at < 0) return;
  throw new InferenceError(
    "numeric_fault",
    `The model has come to a state that holds ${
      state[at]
    } at index ${at}; start from another state`,
  );
}

/**
 * @throws InferenceError `numeric_fault` if logits are not finite: weights or state are damaged.
 */
export function checkLogits(logits: Float32Array, what: string) {
  for (let i = 0; i < logits.length; i++) {
    if (!Number.isFinite(logits[i])) {
      throw new InferenceError(
        "numeric_fault",
        `The model gave ${logits[i]} as a logit for ${what}; its weights or this state are damaged`,
      );
    }
  }
}
