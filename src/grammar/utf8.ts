/** Sets of characters as the bytes that encode them. */

import type { Chars } from "./code_points.ts";

/** From the first byte to the second, both included. */
export type ByteRange = readonly [low: number, high: number];

/** Largest characters of one, two, three and four bytes. */
const LARGEST = [0x7f, 0x7ff, 0xffff, 0x10ffff];

const utf8 = new TextEncoder();

/**
 * Sequences of byte ranges that together are the encodings of `chars`, each of them once. Ranges of
 * all bytes that go on a character come last in each sequence.
 */
export function encodings(chars: Chars): ByteRange[][] {
  return chars.flatMap(([low, high]) =>
    LARGEST.flatMap((largest, i) => {
      const from = Math.max(low, i === 0 ? 0 : LARGEST[i - 1] + 1);
      const to = Math.min(high, largest);
      return from <= to ? between(bytesOf(from), bytesOf(to)) : [];
    })
  );
}

/** Between two encodings of the same length, both included. */
function between(low: readonly number[], high: readonly number[]): ByteRange[][] {
  if (low.length === 0) return [[]];
  const [[first, ...lowRest], [last, ...highRest]] = [low, high];
  const lowest = lowRest.map(() => 0x80);
  const highest = lowRest.map(() => 0xbf);
  const led = (from: number, to: number, rests: ByteRange[][]) =>
    from > to ? [] : rests.map((rest): ByteRange[] => [[from, to], ...rest]);
  if (first === last) return led(first, first, between(lowRest, highRest));
  const fromLow = same(lowRest, lowest);
  const toHigh = same(highRest, highest);
  return [
    ...fromLow ? [] : led(first, first, between(lowRest, highest)),
    ...led(first + (fromLow ? 0 : 1), last - (toHigh ? 0 : 1), between(lowest, highest)),
    ...toHigh ? [] : led(last, last, between(lowest, highRest)),
  ];
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.every((byte, i) => byte === b[i]);
}

function bytesOf(char: number): number[] {
  return [...utf8.encode(String.fromCodePoint(char))];
}
