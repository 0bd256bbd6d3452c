/**
 * Rows of numbers as 8-bit codes with one float16 scale for each row: a number is code times scale.
 *
 * Codes range from -127 to 127. Encoding decoded numbers gives the same bytes, because the largest
 * code of a row times its scale leads to the same scale.
 */

import { decodeFloat16, MAX_FLOAT16_AS_FLOAT32_BITS, tryFloat16Bits } from "../../core/float16.ts";

const MAX_CODE = 127;

/** The largest float16 whose multiple by 127 is within the float16 range. */
const MAX_STEP = 515.5;

/** Smaller float16 numbers are subnormal and have fewer digits. */
const SMALLEST_NORMAL = 2 ** -14;
const SMALLEST = 2 ** -24;

/** Adding and subtracting this rounds a float64 to an integer, ties to even. */
const ROUNDING = 1.5 * 2 ** 52;

/**
 * Encodes `scales.length` rows of equal length.
 *
 * @param numbers `[rows, length]`.
 * @param scales Output: float16 bits, one for each row.
 * @param codes Output: `[rows, length]`.
 * @returns False, with incomplete output, if a number is beyond 65504, infinite or NaN.
 */
export function encodeRows(
  numbers: Float32Array,
  { scales, codes }: { scales: Uint16Array; codes: Int8Array },
): boolean {
  const rows = scales.length;
  const length = numbers.length / rows;
  const steps = new Float32Array(rows);
  const sizes = new Int32Array(steps.buffer);
  const words = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  for (let row = 0, at = 0; row < rows; row++) {
    // The bits of magnitudes have the order of the numbers, with NaN last.
    let largest = 0;
    for (const end = at + length; at < end; at++) {
      const size = words[at] & 0x7fffffff;
      if (size > largest) largest = size;
    }
    if (largest > MAX_FLOAT16_AS_FLOAT32_BITS) return false;
    sizes[row] = largest;
    steps[row] = stepOf(steps[row]);
  }
  tryFloat16Bits(steps, scales);
  decodeFloat16(scales, steps);
  for (let row = 0, at = 0; row < rows; row++) {
    const perStep = steps[row] === 0 ? 0 : 1 / steps[row];
    for (const end = at + length; at < end; at++) {
      codes[at] = (numbers[at] * perStep + ROUNDING) - ROUNDING;
    }
  }
  return true;
}

/**
 * Decodes the output of {@linkcode encodeRows}.
 *
 * @param out Output: `[rows, length]`.
 * @returns The first row with a negative, infinite or NaN scale, where decoding stops, or -1.
 */
export function decodeRows(
  { scales, codes }: { scales: Uint16Array; codes: Int8Array },
  out: Float32Array,
): number {
  const rows = scales.length;
  const length = out.length / rows;
  const steps = new Float32Array(rows);
  const fault = decodeFloat16(scales, steps);
  const good = fault < 0 ? rows : fault;
  for (let row = 0, at = 0; row < good; row++) {
    if (scales[row] & 0x8000) return row;
    const step = steps[row];
    for (const end = at + length; at < end; at++) out[at] = codes[at] * step;
  }
  return fault;
}

/**
 * Returns the step between codes for a row with this largest magnitude, before rounding to float16.
 *
 * Rounding decreases the step by at most 2^-11, so the largest number is at most 127.07 steps and no
 * clamping is needed. For subnormal float16 numbers the step is a power of two, which is exact: the
 * smallest one with the largest number below 127.5 steps. The largest number then has at least 64
 * steps, or the step is the smallest float16, so decoded rows get the same step again.
 */
function stepOf(largest: number): number {
  const step = largest / MAX_CODE;
  if (step > SMALLEST_NORMAL) return Math.min(step, MAX_STEP);
  if (largest <= SMALLEST / 2) return 0;
  let power = SMALLEST;
  while (largest >= (MAX_CODE + 0.5) * power) power *= 2;
  return power;
}
