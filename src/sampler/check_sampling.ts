/** Validates sampling parameters, under their names in the API. */

import { InferenceError } from "../core/errors.ts";
import {
  SAMPLING_PARAMETER_NAMES,
  SAMPLING_PARAMETERS,
  type SamplingParameter,
} from "../core/sampling_parameters.ts";
import type { SamplingParams } from "../core/sampling.ts";

/** Largest magnitude of a logit bias, larger than any difference between logits. */
const MAX_BIAS = 1000;

/**
 * Validates sampling parameters.
 *
 * @param vocabulary Ids of the logit bias must be below it.
 * @throws InferenceError `invalid_value` with the parameter, its value and its range
 */
export function checkSampling(params: SamplingParams, vocabulary = Infinity): void {
  for (const name of SAMPLING_PARAMETER_NAMES) {
    const parameter: SamplingParameter = SAMPLING_PARAMETERS[name];
    checkParameter(name, parameter, params[SAMPLING_PARAMETERS[name].key]);
  }
  if (!(params.seed >= 0n && params.seed < 2n ** 64n)) {
    throw invalid("seed", params.seed, `a whole number from 0 to ${2n ** 64n - 1n}`);
  }
  for (const [id, bias] of params.logitBias) {
    if (!(Number.isSafeInteger(id) && id >= 0 && id < vocabulary)) {
      const range = vocabulary === Infinity ? "of 0 or more" : `from 0 to ${vocabulary - 1}`;
      throw new InferenceError(
        "invalid_value",
        `logit_bias has token id ${id}, and token ids must be whole numbers ${range}`,
        { param: "logit_bias" },
      );
    }
    if (!(Math.abs(bias) <= MAX_BIAS)) {
      throw invalid("logit_bias", bias, `a number from ${-MAX_BIAS} to ${MAX_BIAS}`);
    }
  }
}

function checkParameter(
  name: string,
  { min, max, integer, defaultValue }: SamplingParameter,
  value: number = defaultValue,
): void {
  if (value >= min && value <= max && (!integer || Number.isSafeInteger(value))) return;
  const kind = integer ? "a whole number" : "a number";
  throw invalid(
    name,
    value,
    kind + (max === Infinity ? `, ${min} or more` : ` from ${min} to ${max}`),
  );
}

function invalid(field: string, value: unknown, expected: string): InferenceError {
  return new InferenceError("invalid_value", `${field} is ${value}, and must be ${expected}`, {
    param: field,
  });
}
