/**
 * Random numbers as a function of seed and position, so that a turn can be replayed, moved to
 * another worker and computed on a GPU. The generator is Philox4x32-10 of Salmon et al., "Parallel
 * random numbers: as easy as 1, 2, 3" (SC 2011), which needs only 32-bit integers.
 */

const ROUNDS = 10;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** Four unsigned 32-bit words. */
export type Words4 = readonly [number, number, number, number];

/**
 * Returns a number in [0, 1), a multiple of 2^-53: `((a >> 5) * 2^26 + (b >> 6)) / 2^53` of the
 * first two words `a`, `b` of Philox4x32-10, with the seed as key and the position as counter, low
 * words first.
 *
 * @param seed Unsigned, 64 bits; higher bits are ignored.
 * @param position A non-negative safe integer.
 */
export function randomAt(seed: bigint, position: number): number {
  const key = [Number(seed & 0xffffffffn), Number(seed >> 32n & 0xffffffffn)] as const;
  const counter = [position >>> 0, Math.floor(position / 2 ** 32) >>> 0, 0, 0] as const;
  const [a, b] = philox4x32(counter, key);
  return ((a >>> 5) * 2 ** 26 + (b >>> 6)) / 2 ** 53;
}

/** Computes one block of Philox4x32-10. */
export function philox4x32(counter: Words4, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Returns the upper 32 bits of the product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  // Each sum stays below 2^33, exact in a double.
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = (middle % 65536) + a0 * b1;
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}
