/** The CPU sampler. It defines the sampling semantics and is the reference for other samplers. */

import { InferenceError } from "../core/errors.ts";
import type { SamplingParams } from "../core/sampling.ts";
import { filterTokens } from "./filter_tokens.ts";

/**
 * Samples the next token id.
 *
 * Applies the repetition penalty, the bias and the other penalties to the logits, then a softmax at
 * temperature 1, then top-p (tokens as probable as the last kept one remain), top-k (the lower of
 * equally probable ids remain) and min-p, and then the temperature. All arithmetic is float64. The
 * draw visits the remaining tokens in the order of their ids. `temperature` 0 selects the largest
 * logit, the lowest id among equals.
 *
 * @param logits `[vocabulary]`; not modified.
 * @param counts How often each token was sampled, for the penalties.
 * @param random A number in [0, 1) that alone determines the draw.
 * @param banned 1 at the ids that must never be sampled.
 * @throws InferenceError `numeric_fault` if a logit is NaN or +Infinity (-Infinity is a ban), or if
 * no token remains
 */
export function sample(
  logits: Float32Array,
  params: SamplingParams,
  counts: ReadonlyMap<number, number>,
  random: number,
  banned: Uint8Array | null = null,
): number {
  const scores = adjust(logits, params, counts, banned);
  const best = argmax(scores);
  if (params.temperature === 0) return best;

  const top = scores[best];
  const probabilities = scores.map((score) => Math.exp(score - top));
  const total = sum(probabilities);
  for (let id = 0; id < probabilities.length; id++) probabilities[id] /= total;
  const least = (params.minP ?? 0) * probabilities[best];
  const remaining = filterTokens(probabilities, params).filter((id) => probabilities[id] >= least);

  // p^(1/T) up to a factor, computed from the logits: the power of a small probability underflows.
  const weights = remaining.map((id) => Math.exp((scores[id] - top) / params.temperature));
  const target = random * sum(weights);
  let cumulative = 0;
  for (let i = 0; i < remaining.length; i++) {
    cumulative += weights[i];
    if (target < cumulative) return remaining[i];
  }
  throw new RangeError(`The random number ${random} is not in [0, 1)`);
}

/** Returns the logits with bias and penalties as float64; -Infinity where banned. */
function adjust(
  logits: Float32Array,
  params: SamplingParams,
  counts: ReadonlyMap<number, number>,
  banned: Uint8Array | null,
): Float64Array {
  const scores = Float64Array.from(logits);
  const { repetitionPenalty = 1 } = params;
  for (const [id, count] of counts) {
    if (repetitionPenalty === 1 || count === 0 || id >= scores.length) continue;
    scores[id] *= scores[id] > 0 ? 1 / repetitionPenalty : repetitionPenalty;
  }
  for (const [id, bias] of params.logitBias) {
    if (id < scores.length) scores[id] += bias;
  }
  for (const [id, count] of counts) {
    if (count > 0 && id < scores.length) {
      scores[id] -= params.presencePenalty + count * params.frequencyPenalty;
    }
  }
  for (let id = 0; id < scores.length; id++) {
    if (!(scores[id] < Infinity)) {
      throw new InferenceError(
        "numeric_fault",
        `Cannot sample: the logit of token ${id} is ${
          scores[id]
        }; the model's weights or its state ` +
          "are damaged; start from another state",
      );
    }
    if (banned?.[id]) scores[id] = -Infinity;
  }
  return scores;
}

/** Returns the id of the largest score, the lowest id among equals. */
function argmax(scores: Float64Array): number {
  let best = -1;
  let top = -Infinity;
  for (let id = 0; id < scores.length; id++) {
    if (scores[id] > top) {
      best = id;
      top = scores[id];
    }
  }
  if (best < 0) {
    throw new InferenceError(
      "numeric_fault",
      `Cannot sample: all ${scores.length} tokens are banned or have the logit -Infinity`,
    );
  }
  return best;
}

function sum(values: Float64Array | readonly number[]): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
