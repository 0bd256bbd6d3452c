/** Exact top-p and top-k filtering, usually without sorting the whole vocabulary. */

/**
 * Returns the ids of the remaining tokens in ascending order. Top-p keeps the most probable tokens
 * until their probabilities sum up to `topP`, and all tokens as probable as the last of these.
 * Top-k then keeps the `topK` most probable of them, lower ids first among equals. A token with
 * probability 0 never remains; the most probable token always does.
 *
 * @param probabilities By id; at least one is above 0.
 * @param limits `topP` of 1 or more and `topK` of 0 keep all tokens.
 */
export function filterTokens(
  probabilities: Float64Array,
  { topP, topK }: { topP: number; topK: number },
): number[] {
  const limit = topK === 0 ? Infinity : topK;
  const { minimum, above } = topP >= 1 && limit >= probabilities.length
    ? { minimum: 0, above: 0 }
    : findMinimum(probabilities, topP >= 1 ? Infinity : topP, limit);
  const remaining: number[] = [];
  let equals = limit - above;
  for (let id = 0; id < probabilities.length; id++) {
    const p = probabilities[id];
    if (p > minimum || (p === minimum && p > 0 && equals-- > 0)) remaining.push(id);
  }
  return remaining;
}

/**
 * Returns the smallest remaining probability and the number of probabilities above it. Visits the
 * probabilities in descending order until their sum is `threshold` or their number is `limit`.
 */
function findMinimum(
  probabilities: Float64Array,
  threshold: number,
  limit: number,
): { minimum: number; above: number } {
  let minimum = Infinity;
  let count = 0;
  let above = 0;
  let cumulative = 0;
  for (const band of descendingBands(probabilities)) {
    for (let i = band.length - 1; i >= 0; i--) {
      if (band[i] < minimum) above = count;
      minimum = band[i];
      count++;
      cumulative += minimum;
      if (cumulative >= threshold || count >= limit) return { minimum, above };
    }
  }
  return { minimum, above };
}

/**
 * Yields all probabilities above 0 in bands of descending size, each band sorted ascending. The
 * first bands contain few values and usually suffice, so the long tail is rarely sorted.
 */
function* descendingBands(probabilities: Float64Array): Generator<Float64Array> {
  let maximum = 0;
  for (let id = 0; id < probabilities.length; id++) maximum = Math.max(maximum, probabilities[id]);
  let upper = Infinity;
  for (const factor of [2 ** -4, 2 ** -10, 2 ** -20, 2 ** -40, 0]) {
    const lower = Math.max(maximum * factor, Number.MIN_VALUE);
    yield probabilities.filter((p) => p < upper && p >= lower).sort();
    upper = lower;
  }
}
