/**
 * Rows of numbers as 8-bit codes, each row with one float16 scale: a number is code times scale.
 *
 * Codes go from -127 to 127. What was decoded is encoded to the same bytes: a row's largest code
 * times its scale leads to the same scale again.
 */

import { decodeFloat16, MAX_FLOAT16_AS_FLOAT32_BITS, tryFloat16Bits } from "../../core/float16.ts";

const LARGEST_CODE = 127;

/** The largest float16 of which 127 times are still within float16's range. */
const LARGEST_STEP = 515.5;

/** Below, float16 loses digits. */
const SMALLEST_NORMAL = 2 ** -14;
const SMALLEST = 2 ** -24;

/** Added to a float64 and taken away again, it rounds to whole numbers, ties to even. */
const ROUNDING = 1.5 * 2 ** 52;

/**
 * Encodes `scales.length` rows of equal length.
 *
 * @param numbers `[rows, length]`.
 * @param scales Float16 bits, one a row, to be filled.
 * @param codes `[rows, length]`, to be filled.
 * @returns False, with both unfinished, where a number is beyond 65504, infinite or NaN.
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
    // Magnitudes are ordered as their bits are, NaN last.
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
 * Decodes what {@linkcode encodeRows} makes.
 *
 * @param out `[rows, length]`, to be filled.
 * @returns The first row whose scale is negative, infinite or NaN, where it has stopped; else -1.
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
 * The step between codes for a row whose largest magnitude this is, still to be rounded to float16.
 *
 * Rounding may make it smaller by 2^-11 at most, so that the largest number is 127.07 steps and
 * nothing is clamped. Where float16 has fewer digits than that, steps are powers of two, which need
 * none: the smallest that leaves the largest number below 127.5 steps. That one has 64 steps or
 * more then, or the step is float16's smallest, so that it asks for the same step when decoded.
 */
function stepOf(largest: number): number {
  const step = largest / LARGEST_CODE;
  if (step > SMALLEST_NORMAL) return Math.min(step, LARGEST_STEP);
  if (largest <= SMALLEST / 2) return 0;
  let power = SMALLEST;
  while (largest >= (LARGEST_CODE + 0.5) * power) power *= 2;
  return power;
}
