/** Converts character sets to the byte ranges of their UTF-8 encodings. */

import type { CharSet } from "./code_points.ts";

/** Bytes from `low` to `high`, both inclusive. */
export type ByteRange = readonly [low: number, high: number];

/** Largest code points that take one, two, three and four bytes. */
const LARGEST = [0x7f, 0x7ff, 0xffff, 0x10ffff];

const utf8 = new TextEncoder();

/**
 * Returns sequences of byte ranges that together match each encoding of `chars` exactly once. Ranges
 * that cover all continuation bytes come last in a sequence, so that suffixes can be shared.
 */
export function encodings(chars: CharSet): ByteRange[][] {
  return chars.flatMap(([low, high]) =>
    LARGEST.flatMap((largest, i) => {
      const from = Math.max(low, i === 0 ? 0 : LARGEST[i - 1] + 1);
      const to = Math.min(high, largest);
      return from <= to ? between(bytesOf(from), bytesOf(to)) : [];
    })
  );
}

/** Returns the sequences from one encoding to another of the same length, both inclusive. */
function between(low: readonly number[], high: readonly number[]): ByteRange[][] {
  if (low.length === 0) return [[]];
  const [[first, ...lowRest], [last, ...highRest]] = [low, high];
  const lowest = lowRest.map(() => 0x80);
  const highest = lowRest.map(() => 0xbf);
  const prefixed = (from: number, to: number, rests: ByteRange[][]) =>
    from > to ? [] : rests.map((rest): ByteRange[] => [[from, to], ...rest]);
  if (first === last) return prefixed(first, first, between(lowRest, highRest));
  const fromLow = same(lowRest, lowest);
  const toHigh = same(highRest, highest);
  return [
    ...fromLow ? [] : prefixed(first, first, between(lowRest, highest)),
    ...prefixed(first + (fromLow ? 0 : 1), last - (toHigh ? 0 : 1), between(lowest, highest)),
    ...toHigh ? [] : prefixed(last, last, between(lowest, highRest)),
  ];
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.every((byte, i) => byte === b[i]);
}

function bytesOf(char: number): number[] {
  return [...utf8.encode(String.fromCodePoint(char))];
}
