/**
 * How many values JSON text contains, found before it is parsed: a value of a few bytes takes many
 * times as much memory once it is parsed, and more again if it is invalid.
 */

/** What JSON text may contain. */
export interface JsonLimits {
  /** Values, property names not counted. */
  maxValues: number;
  /** Levels of lists and objects within each other. */
  maxDepth: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Scans UTF-8 text that may be JSON, valid or not.
 *
 * @returns How it exceeds the limits, such as `holds more than 100 values`; `null` if it does not.
 */
export function checkJsonComplexity(
  bytes: Uint8Array,
  { maxValues: most, maxDepth: deepest }: JsonLimits,
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
        if (++depth > deepest) return `is nested more than ${deepest} deep`;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
    }
    if (values > most) return `holds more than ${most} values`;
  }
  return null;
}

/** The position of the quotation mark that ends the string which begins at `start`. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  // A native search for the quotation mark is slower where a string has many escapes.
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}
