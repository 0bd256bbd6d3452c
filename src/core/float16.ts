/**
 * Float16 numbers as their bits. In plain arithmetic, which is as fast as Float16Array and runs where
 * there is none, as in Node 20 and 22.
 */

/** Magnitude of 65504, the largest float16, as a float32's bits. */
export const MAX_FLOAT16_AS_FLOAT32_BITS = 0x477fe000;

/** Magnitude of 2^-14, from which on a float16 has all its digits, as a float32's bits. */
const SMALLEST_NORMAL = 0x38800000;

/** Added to a float64 of lesser magnitude, it leaves no digits behind the point. */
const NO_FRACTION = 2 ** 52;

/**
 * Rounds to nearest, ties to even.
 *
 * @param out As many float16 as there are numbers; unfinished where the answer is false.
 * @returns Whether float16 can hold every number: none is beyond 65504, infinite or NaN.
 */
export function tryFloat16Bits(numbers: Float32Array, out: Uint16Array): boolean {
  const words = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  for (let i = 0; i < words.length; i++) {
    if ((words[i] & 0x7fffffff) > MAX_FLOAT16_AS_FLOAT32_BITS) return false;
    out[i] = halfOf(numbers[i], words[i]);
  }
  return true;
}

/**
 * Rounds to nearest, ties to even.
 *
 * @param numbers All of magnitudes below 65520, from where on float16 is infinite.
 */
export function float16Bits(numbers: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const halves = new Uint16Array(numbers.length);
  for (let i = 0; i < words.length; i++) halves[i] = halfOf(numbers[i], words[i]);
  return halves;
}

/** A float64 rounded to the nearest float16, ties to even, as Math.f16round does. */
export function roundToFloat16(number: number): number {
  const size = Math.abs(number);
  if (size >= 65520) return Math.sign(number) * Infinity;
  // Adding a float64 whose last digit is float16's last one leaves no smaller digits.
  let cut = NO_FRACTION * 2 ** -24;
  if (size >= 2 ** -14) {
    FLOAT64[0] = size;
    FLOAT64_WORDS[1] = ((FLOAT64_WORDS[1] >>> 20) + 42) << 20;
    FLOAT64_WORDS[0] = 0;
    cut = FLOAT64[0];
  }
  const rounded = (size + cut) - cut;
  return number < 0 ? -rounded : number > 0 ? rounded : number;
}

const FLOAT64 = new Float64Array(1);
const FLOAT64_WORDS = new Uint32Array(FLOAT64.buffer);

/** Bits of the float16 nearest to a float32 below 65520, of which `word` are the bits. */
function halfOf(number: number, word: number): number {
  const size = word & 0x7fffffff;
  // What is cut off is 13 bits: a half less a bit, and that bit if the number kept is odd.
  const half = size < SMALLEST_NORMAL
    ? (Math.abs(number) * 2 ** 24 + NO_FRACTION) - NO_FRACTION
    : (size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13;
  return ((word >>> 16) & 0x8000) | half;
}

/**
 * Widens, exactly.
 *
 * @param out As many float32 as there are halves.
 * @returns Index of the first that is infinite or NaN, where it has stopped; else -1.
 */
export function decodeFloat16(halves: Uint16Array, out: Float32Array): number {
  const words = new Int32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i];
    if ((half & 0x7c00) === 0x7c00) return i;
    // Float16's exponent is 112 less than float32's, also where it is that of subnormals.
    words[i] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13);
    out[i] *= 2 ** 112;
  }
  return -1;
}
