/** Checks of what a caller asks of an engine, the same for every engine. */

import { InferenceError } from "../core/errors.ts";
import { stateLength } from "../model/dimensions.ts";
import type { EngineInfo, Run } from "./engine.ts";

type Limits = Pick<EngineInfo, "dimensions" | "slots" | "maxStepTokens">;

function refuse(message: string): InferenceError {
  return new InferenceError("invalid_value", message);
}

/** @throws InferenceError `invalid_value` naming what is out of range. */
export function checkRuns(runs: readonly Run[], { dimensions, slots, maxStepTokens }: Limits) {
  let tokens = 0;
  const used = new Set<number>();
  for (const run of runs) {
    checkSlot(run.slot, { slots });
    if (used.has(run.slot)) throw refuse(`Cannot run slot ${run.slot} twice in one step`);
    used.add(run.slot);
    if (run.tokens.length === 0) throw refuse(`Cannot run slot ${run.slot}: it has no token`);
    for (const id of run.tokens) {
      if (!Number.isInteger(id) || id < 0 || id >= dimensions.vocabulary) {
        throw refuse(
          `Cannot use token ${id}: ids of this model are 0 to ${dimensions.vocabulary - 1}`,
        );
      }
    }
    tokens += run.tokens.length;
  }
  if (tokens > maxStepTokens) {
    throw refuse(`Cannot run ${tokens} tokens in one step: this engine takes ${maxStepTokens}`);
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
