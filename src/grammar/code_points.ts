/** Character sets as ordered, disjoint ranges of code points. */

/** Code points from `low` to `high`, both inclusive. */
export type CharRange = readonly [low: number, high: number];

/** A set of characters: ordered, disjoint ranges. */
export type CharSet = readonly CharRange[];

const LAST = 0x10ffff;

/** All code points that UTF-8 can encode, which excludes surrogates. */
export const ALL_CHARS: CharSet = [[0, 0xd7ff], [0xe000, LAST]];

export const NEWLINE = 10;

/** Builds a set from ranges in any order. Merges overlaps and removes surrogates. */
export function charsOf(ranges: readonly CharRange[]): CharSet {
  const sorted = [...ranges].sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [low, high] of sorted) {
    const last = joined.at(-1);
    if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else joined.push([low, high]);
  }
  return joined.flatMap(([low, high]) =>
    ALL_CHARS.flatMap(([from, to]): CharRange[] => {
      const [a, b] = [Math.max(low, from), Math.min(high, to)];
      return a <= b ? [[a, b]] : [];
    })
  );
}

/** Returns the set of the characters of a text. */
export function charsIn(text: string): CharSet {
  return charsOf([...text].map((char): CharRange => [char.codePointAt(0)!, char.codePointAt(0)!]));
}

/** Returns the characters of `chars` that are not in `others`. */
export function subtractChars(chars: CharSet, others: CharSet): CharSet {
  const remaining: CharRange[] = [];
  for (let [low, high] of chars) {
    for (const [from, to] of others) {
      if (to < low || from > high) continue;
      if (low < from) remaining.push([low, from - 1]);
      low = to + 1;
    }
    if (low <= high) remaining.push([low, high]);
  }
  return remaining;
}

export function hasChar(chars: CharSet, char: number): boolean {
  return chars.some(([low, high]) => low <= char && char <= high);
}

export function countChars(chars: CharSet): number {
  return chars.reduce((sum, [low, high]) => sum + high - low + 1, 0);
}
