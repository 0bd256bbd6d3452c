/** Which tokens top-p and top-k keep, exactly, mostly without sorting the whole vocabulary. */

/**
 * Ids that stay, ascending: the most probable ones until their probabilities sum up to `topP`, and all
 * that are as probable as the last of these; then the `topK` most probable of them, lower ids first
 * among equals. One with probability 0 never stays; the most probable always does.
 *
 * @param probabilities By id; at least one is above 0.
 * @param cuts `topP` of 1 or more, and `topK` of 0, keep all.
 */
export function filterTokens(
  probabilities: Float64Array,
  { topP, topK }: { topP: number; topK: number },
): number[] {
  const limit = topK === 0 ? Infinity : topK;
  const { least, above } = topP >= 1 && limit >= probabilities.length
    ? { least: 0, above: 0 }
    : findLeast(probabilities, topP >= 1 ? Infinity : topP, limit);
  const kept: number[] = [];
  let equals = limit - above;
  for (let id = 0; id < probabilities.length; id++) {
    const p = probabilities[id];
    if (p > least || (p === least && p > 0 && equals-- > 0)) kept.push(id);
  }
  return kept;
}

/**
 * The smallest probability that stays, met in descending order once the sum is `enough` or there are
 * `limit` of them, and how many are above it.
 */
function findLeast(
  probabilities: Float64Array,
  enough: number,
  limit: number,
): { least: number; above: number } {
  let least = Infinity;
  let count = 0;
  let above = 0;
  let cumulative = 0;
  for (const band of descendingBands(probabilities)) {
    for (let i = band.length - 1; i >= 0; i--) {
      if (band[i] < least) above = count;
      least = band[i];
      count++;
      cumulative += least;
      if (cumulative >= enough || count >= limit) return { least, above };
    }
  }
  return { least, above };
}

/**
 * All probabilities above 0 in bands of falling size, each band sorted upwards. The first bands hold
 * few values and are mostly enough, so that the long tail is never sorted.
 */
function* descendingBands(probabilities: Float64Array): Generator<Float64Array> {
  let most = 0;
  for (let id = 0; id < probabilities.length; id++) most = Math.max(most, probabilities[id]);
  let upper = Infinity;
  for (const factor of [2 ** -4, 2 ** -10, 2 ** -20, 2 ** -40, 0]) {
    const lower = Math.max(most * factor, Number.MIN_VALUE);
    yield probabilities.filter((p) => p < upper && p >= lower).sort();
    upper = lower;
  }
}
