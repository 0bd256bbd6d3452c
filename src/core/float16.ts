/**
 * Conversions between float32 numbers and float16 bit patterns. Plain arithmetic is as fast as
 * Float16Array and also runs on Node 20 and 22, which lack it.
 */

/** Float32 bit pattern of 65504, the largest float16. */
export const MAX_FLOAT16_AS_FLOAT32_BITS = 0x477fe000;

/** Float32 bit pattern of 2^-14, the smallest normal float16. */
const SMALLEST_NORMAL = 0x38800000;

/** Adding this to a smaller float64 rounds the sum to an integer. */
const NO_FRACTION = 2 ** 52;

/**
 * Converts float32 numbers to float16 bits, rounding to nearest with ties to even.
 *
 * @param out Receives one float16 per number; incomplete if the result is false.
 * @returns False if float16 cannot represent a number: above 65504 in magnitude, infinite or NaN.
 */
export function tryFloat16Bits(numbers: Float32Array, out: Uint16Array): boolean {
  const words = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  for (let i = 0; i < words.length; i++) {
    if ((words[i] & 0x7fffffff) > MAX_FLOAT16_AS_FLOAT32_BITS) return false;
    out[i] = encodeOne(numbers[i], words[i]);
  }
  return true;
}

/**
 * Returns the float16 bits of float32 numbers, rounded to nearest with ties to even.
 *
 * @param numbers All below 65520 in magnitude; from there on, float16 rounds to infinity.
 */
export function float16Bits(numbers: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const halves = new Uint16Array(numbers.length);
  for (let i = 0; i < words.length; i++) halves[i] = encodeOne(numbers[i], words[i]);
  return halves;
}

/** Rounds a float64 to the nearest float16, ties to even, like `Math.f16round`. */
export function roundToFloat16(number: number): number {
  const size = Math.abs(number);
  if (size >= 65520) return Math.sign(number) * Infinity;
  // Adding a float64 whose last bit is worth float16's last bit rounds away all smaller bits.
  let rounder = NO_FRACTION * 2 ** -24;
  if (size >= 2 ** -14) {
    FLOAT64[0] = size;
    FLOAT64_WORDS[1] = ((FLOAT64_WORDS[1] >>> 20) + 42) << 20;
    FLOAT64_WORDS[0] = 0;
    rounder = FLOAT64[0];
  }
  const rounded = (size + rounder) - rounder;
  return number < 0 ? -rounded : number > 0 ? rounded : number;
}

const FLOAT64 = new Float64Array(1);
const FLOAT64_WORDS = new Uint32Array(FLOAT64.buffer);

/** Returns the float16 bits nearest to a float32 below 65520; `word` is its bit pattern. */
function encodeOne(number: number, word: number): number {
  const size = word & 0x7fffffff;
  // 13 bits are dropped. Adding 0xfff, plus 1 if the kept part is odd, rounds ties to even.
  const half = size < SMALLEST_NORMAL
    ? (Math.abs(number) * 2 ** 24 + NO_FRACTION) - NO_FRACTION
    : (size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13;
  return ((word >>> 16) & 0x8000) | half;
}

/**
 * Converts float16 bits to float32, exactly.
 *
 * @param out Receives one float32 per float16.
 * @returns Index of the first infinite or NaN value, where conversion stops; -1 if there is none.
 */
export function decodeFloat16(halves: Uint16Array, out: Float32Array): number {
  const words = new Int32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i];
    if ((half & 0x7c00) === 0x7c00) return i;
    // The exponent biases differ by 112; multiplying corrects this for subnormals as well.
    words[i] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13);
    out[i] *= 2 ** 112;
  }
  return -1;
}
