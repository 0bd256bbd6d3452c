/** Finds stop strings in the bytes of sampled tokens, including strings split across tokens. */

import { InferenceError } from "./errors.ts";
import { MAX_STOP_BYTES, type StopSearch, type StopStrings } from "./sampling.ts";

/**
 * Starts a search for `strings` after the preceding bytes of the reply.
 *
 * @throws InferenceError `invalid_value` if the strings exceed `MAX_STOP_BYTES` in total.
 */
export function createStopSearch(
  { strings, precedingBytes, unsearchedBytes }: StopStrings,
): StopSearch {
  const length = strings.reduce((sum, string) => sum + string.length, 0);
  if (length > MAX_STOP_BYTES) {
    throw new InferenceError(
      "invalid_value",
      `stop: the strings have ${length} bytes in total and the limit is ${MAX_STOP_BYTES}; send ` +
        "fewer or shorter ones",
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
  const from = precedingBytes.length - unsearchedBytes;
  advanceStopSearch(search, precedingBytes.subarray(0, from));
  search.found = false;
  advanceStopSearch(search, precedingBytes.subarray(from));
  return search;
}

/** Searches the next `bytes`; returns whether a string has been found so far. */
export function advanceStopSearch(search: StopSearch, bytes: Uint8Array): boolean {
  const { words, byteMasks, startMask, endMask, prefixBits } = search;
  for (const byte of bytes) {
    let carry = 0;
    for (let w = 0; w < words; w++) {
      const previous = prefixBits[w];
      prefixBits[w] = ((previous << 1) | carry | startMask[w]) & byteMasks[byte * words + w];
      carry = previous >>> 31;
      if ((prefixBits[w] & endMask[w]) !== 0) search.found = true;
    }
  }
  return search.found;
}

function setBit(mask: Uint32Array, at: number): void {
  mask[at >> 5] |= 1 << (at & 31);
}
