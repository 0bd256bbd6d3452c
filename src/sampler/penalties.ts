/** How often each token was sampled, fading with time: what the penalties count. */

/** Counts below this, the least normal float32, are 0. */
export const MIN_COUNT = 2 ** -126;

/**
 * Counts a sampled token: all counts times `decay`, then one more for `token`. In place, in float32 as
 * on a GPU, so that a conversation goes on in the same way wherever it is resumed. A count that has
 * become 0 is dropped, which changes nothing.
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
