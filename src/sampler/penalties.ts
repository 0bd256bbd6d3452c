/** How often each token was sampled, fading with time: what the penalties count. */

/**
 * Counts a sampled token: all counts times `decay`, then one more for `token`. In place and exact; a
 * count that has become 0 is dropped, which changes nothing.
 */
export function recordToken(counts: Map<number, number>, token: number, decay: number): void {
  if (decay !== 1) {
    for (const [id, count] of counts) {
      const faded = count * decay;
      if (faded === 0) counts.delete(id);
      else counts.set(id, faded);
    }
  }
  counts.set(token, (counts.get(token) ?? 0) + 1);
}
