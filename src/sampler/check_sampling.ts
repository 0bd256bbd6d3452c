/** The ranges of sampling parameters, in the API's names for them. */

import { InferenceError } from "../core/errors.ts";
import type { SamplingParams } from "../core/sampling.ts";

/** Largest magnitude of a logit bias: beyond any difference between logits. */
const MAX_BIAS = 1000;

/**
 * Refuses parameters that mean nothing.
 *
 * @param vocabulary Ids of the logit bias must be below it.
 * @throws InferenceError `invalid_value` that names the parameter, its value and its range.
 */
export function checkSampling(params: SamplingParams, vocabulary = Infinity): void {
  checkRange("temperature", params.temperature, { from: 0, to: 5 });
  checkRange("top_p", params.topP, { from: 0, to: 1 });
  checkRange("min_p", params.minP ?? 0, { from: 0, to: 1 });
  checkRange("repetition_penalty", params.repetitionPenalty ?? 1, { from: 0.1, to: 10 });
  checkRange("presence_penalty", params.presencePenalty, { from: -2, to: 2 });
  checkRange("frequency_penalty", params.frequencyPenalty, { from: -2, to: 2 });
  checkRange("penalty_decay", params.penaltyDecay, { from: 0, to: 1 });
  if (!(Number.isSafeInteger(params.topK) && params.topK >= 0)) {
    throw invalid("top_k", params.topK, "a whole number, 0 or more; 0 keeps all tokens");
  }
  if (!(params.seed >= 0n && params.seed < 2n ** 64n)) {
    throw invalid("seed", params.seed, `a whole number from 0 to ${2n ** 64n - 1n}`);
  }
  for (const [id, bias] of params.logitBias) {
    if (!(Number.isSafeInteger(id) && id >= 0 && id < vocabulary)) {
      const range = vocabulary === Infinity ? "0 or more" : `from 0 to ${vocabulary - 1}`;
      throw invalid("logit_bias", `token id ${id}`, `by token ids ${range}`);
    }
    checkRange("logit_bias", bias, { from: -MAX_BIAS, to: MAX_BIAS });
  }
}

function checkRange(field: string, value: number, { from, to }: { from: number; to: number }) {
  if (!(value >= from && value <= to)) {
    throw invalid(field, value, `a number from ${from} to ${to}`);
  }
}

function invalid(field: string, value: unknown, expected: string): InferenceError {
  return new InferenceError("invalid_value", `${field} is ${value}, and must be ${expected}`, {
    param: field,
  });
}
