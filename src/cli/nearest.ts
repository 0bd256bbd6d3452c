/** The nearest match to a misspelt word. */

/** The word that differs from `word` in the fewest letters, if in at most a third of them, or two. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let fewest = Math.max(2, Math.floor(word.length / 3));
  for (const candidate of words) {
    const edits = distance(wanted, candidate.toLowerCase());
    if (edits < fewest || (edits === fewest && best === undefined)) {
      best = candidate;
      fewest = edits;
    }
  }
  return best;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
