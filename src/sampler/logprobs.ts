/**
 * Log probabilities of the model's own distribution, before bias, penalties, filters and
 * temperature.
 */

import type { TokenLogprobs } from "../core/sampling.ts";

/**
 * Returns the log probability of a token and the most probable tokens.
 *
 * @param logits `[vocabulary]`.
 * @param banned 1 at the ids without a token.
 * @param count Number of most probable tokens to return.
 */
export function computeLogprobs(
  token: number,
  logits: Float32Array,
  { banned, count }: { banned: Uint8Array | null; count: number },
): TokenLogprobs {
  let top = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    if (!banned?.[id] && logits[id] > top) top = logits[id];
  }
  let sum = 0;
  for (let id = 0; id < logits.length; id++) {
    if (!banned?.[id]) sum += Math.exp(logits[id] - top);
  }
  const norm = top + Math.log(sum);
  const best = mostProbable(logits, { banned, count });
  return {
    logprob: logits[token] - norm,
    top: best.map((id) => ({ token: id, logprob: logits[id] - norm })),
  };
}

/** Returns the ids of the largest logits in descending order, lower ids first among equals. */
function mostProbable(
  logits: Float32Array,
  { banned, count }: { banned: Uint8Array | null; count: number },
): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  for (let id = 0; id < logits.length; id++) {
    if (banned?.[id]) continue;
    if (best.length === count && !(logits[id] > logits[best[count - 1]])) continue;
    let at = best.length;
    while (at > 0 && logits[id] > logits[best[at - 1]]) at--;
    best.splice(at, 0, id);
    if (best.length > count) best.pop();
  }
  return best;
}
