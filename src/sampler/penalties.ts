/** Decayed counts of the sampled tokens, for the penalties. */

/** Counts below the smallest normal float32 become 0. */
export const MIN_COUNT = 2 ** -126;

/**
 * Counts a sampled token: multiplies all counts by `decay`, then adds 1 for `token`. Modifies
 * `counts`. Computes in float32 as a GPU does, so that a conversation continues identically on
 * every device. Removes counts that have become 0, which does not change the result.
 */
export function recordToken(counts: Map<number, number>, token: number, decay: number): void {
  if (decay !== 1) {
    const factor = Math.fround(decay);
    for (const [id, count] of counts) {
      const faded = Math.fround(Math.fround(count) * factor);
      if (faded < MIN_COUNT) counts.delete(id);
      else counts.set(id, faded);
    }
  }
  counts.set(token, Math.fround((counts.get(token) ?? 0) + 1));
}
