/** Sets of characters: code points as ranges, in order and apart from each other. */

/** From the first to the second, both included. */
export type Range = readonly [low: number, high: number];

export type Chars = readonly Range[];

const LAST = 0x10ffff;

/** Everything that UTF-8 can encode: surrogates are no characters. */
export const ALL_CHARS: Chars = [[0, 0xd7ff], [0xe000, LAST]];

export const NEWLINE = 10;

/** In order, without overlaps and surrogates. */
export function charsOf(ranges: readonly Range[]): Chars {
  const sorted = [...ranges].sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [low, high] of sorted) {
    const last = joined.at(-1);
    if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else joined.push([low, high]);
  }
  return joined.flatMap(([low, high]) =>
    ALL_CHARS.flatMap(([from, to]): Range[] => {
      const [a, b] = [Math.max(low, from), Math.min(high, to)];
      return a <= b ? [[a, b]] : [];
    })
  );
}

/** The characters of a text. */
export function charsIn(text: string): Chars {
  return charsOf([...text].map((char): Range => [char.codePointAt(0)!, char.codePointAt(0)!]));
}

export function subtractChars(chars: Chars, others: Chars): Chars {
  const left: Range[] = [];
  for (let [low, high] of chars) {
    for (const [from, to] of others) {
      if (to < low || from > high) continue;
      if (low < from) left.push([low, from - 1]);
      low = to + 1;
    }
    if (low <= high) left.push([low, high]);
  }
  return left;
}

export function hasChar(chars: Chars, char: number): boolean {
  return chars.some(([low, high]) => low <= char && char <= high);
}

export function countChars(chars: Chars): number {
  return chars.reduce((sum, [low, high]) => sum + high - low + 1, 0);
}
