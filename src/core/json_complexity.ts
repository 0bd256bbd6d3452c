/**
 * Counts the values in JSON text before parsing it. A value of a few bytes takes many times as much
 * memory once parsed, and even more if validation rejects it.
 */

/** Limits on the contents of JSON text. */
export interface JsonLimits {
  /** Number of values, not counting property names. */
  maxValues: number;
  /** Nesting depth of arrays and objects. */
  maxDepth: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Scans UTF-8 text, which need not be valid JSON.
 *
 * @returns The limit it exceeds, such as `contains more than 100 values`; `null` if none.
 */
export function checkJsonComplexity(
  bytes: Uint8Array,
  { maxValues, maxDepth }: JsonLimits,
): string | null {
  let values = 1;
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case QUOTE:
        at = endOfString(bytes, at);
        break;
      case 0x2c: // ,
        values++;
        break;
      case 0x5b: // [
      case 0x7b: // {
        values++;
        if (++depth > maxDepth) return `is nested more than ${maxDepth} deep`;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
    }
    if (values > maxValues) return `contains more than ${maxValues} values`;
  }
  return null;
}

/** Returns the position of the quotation mark that closes the string opened at `start`. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  // `indexOf` for the quotation mark is slower for strings with many escapes.
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}
