/**
 * How much JSON a body holds, told before it is parsed: a few bytes can be a value of its own, which
 * takes many times as much memory, and one that is wrong takes more again to tell.
 */

import { InferenceError } from "../src/core/errors.ts";

/** Values of a body at most, names not counted. More messages or tokens no prompt has. */
export const MOST_VALUES = 131_072;

/** Lists and objects within each other at most. */
export const MOST_DEPTH = 512;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Looks at the marks of a text in UTF-8 that may be JSON, whether it is any or not.
 *
 * @throws InferenceError `invalid_value`
 */
export function assertModest(bytes: Uint8Array): void {
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
        if (++depth > MOST_DEPTH) throw tooMuch(`is nested more than ${MOST_DEPTH} deep`);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
    }
    if (values > MOST_VALUES) throw tooMuch(`holds more than ${MOST_VALUES} values`);
  }
}

/** Where the quotation mark is that ends the string which begins at `start`. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let from = start + 1;;) {
    const end = bytes.indexOf(QUOTE, from);
    if (end < 0) return bytes.length;
    let slashes = 0;
    while (bytes[end - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
    from = end + 1;
  }
}

function tooMuch(what: string): InferenceError {
  return new InferenceError("invalid_value", `The request body ${what}`);
}
