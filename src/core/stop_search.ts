/** Finds stop strings in the bytes of sampled tokens, including strings split across tokens. */

import { InferenceError } from "./errors.ts";
import { MAX_STOP_BYTES, type StopSearch, type StopStrings } from "./sampling.ts";

/**
 * Starts a search for `strings` after the preceding bytes of the reply.
 *
 * @throws InferenceError `invalid_value` if the strings exceed `MAX_STOP_BYTES` in total.
 */
export function createStopSearch(
  { strings, precedingBytes: before, unsearchedBytes: unsearched }: StopStrings,
): StopSearch {
  const length = strings.reduce((sum, string) => sum + string.length, 0);
  if (length > MAX_STOP_BYTES) {
    throw new InferenceError(
      "invalid_value",
      `Cannot use these stop strings: they have ${length} bytes in total and the limit is ` +
        `${MAX_STOP_BYTES}; send fewer or shorter ones`,
      { param: "stop" },
    );
  }
  const words = Math.ceil(length / 32);
  const search: StopSearch = {
    words,
    byteMasks: new Uint32Array(256 * words),
    startMask: new Uint32Array(words),
    endMask: new Uint32Array(words),
    prefixBits: new Uint32Array(words),
    found: false,
  };
  let at = 0;
  for (const string of strings.filter((string) => string.length > 0)) {
    setBit(search.startMask, at);
    for (const byte of string) setBit(search.byteMasks.subarray(byte * words), at++);
    setBit(search.endMask, at - 1);
  }
  const from = before.length - unsearched;
  advanceStopSearch(search, before.subarray(0, from));
  search.found = false;
  advanceStopSearch(search, before.subarray(from));
  return search;
}

/** Searches the next `bytes`; returns whether a string has been found so far. */
export function advanceStopSearch(search: StopSearch, bytes: Uint8Array): boolean {
  const { words, byteMasks: byByte, startMask: first, endMask: last, prefixBits: bits } = search;
  for (const byte of bytes) {
    let carry = 0;
    for (let w = 0; w < words; w++) {
      const before = bits[w];
      bits[w] = ((before << 1) | carry | first[w]) & byByte[byte * words + w];
      carry = before >>> 31;
      if ((bits[w] & last[w]) !== 0) search.found = true;
    }
  }
  return search.found;
}

function setBit(bits: Uint32Array, at: number): void {
  bits[at >> 5] |= 1 << (at & 31);
}
