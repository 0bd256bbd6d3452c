/** Compares the float16 conversions with the platform's Float16Array. */

import assert from "node:assert/strict";
import {
  decodeFloat16,
  float16Bits,
  roundToFloat16,
  tryFloat16Bits,
} from "../../src/core/float16.ts";
import { floats, seeded } from "../support/random_data.ts";
import { assertSameNumbers } from "../support/same_numbers.ts";

/** Every finite float16. */
const HALVES = Uint16Array.from({ length: 65536 }, (_, half) => half)
  .filter((half) => (half & 0x7c00) !== 0x7c00);

function expectRounded(numbers: Float32Array, what: string) {
  const halves = new Uint16Array(numbers.length);
  assert.equal(tryFloat16Bits(numbers, halves), true, what);
  const own = new Float16Array(halves.buffer);
  assertSameNumbers(Float32Array.from(own), Float32Array.from(Float16Array.from(numbers)), what);
  assert.deepEqual(float16Bits(numbers), halves, what);
  assertSameNumbers(numbers.map(roundToFloat16), numbers.map(Math.f16round), what);
}

Deno.test("every float16 converts to float32 exactly and rounds back to itself", () => {
  const numbers = new Float32Array(HALVES.length);
  assert.equal(decodeFloat16(HALVES, numbers), -1);
  assertSameNumbers(numbers, Float32Array.from(new Float16Array(HALVES.buffer)));
  const again = new Uint16Array(HALVES.length);
  assert.equal(tryFloat16Bits(numbers, again), true);
  assert.ok(again.every((half, i) => half === HALVES[i]));
});

Deno.test("numbers round to nearest, ties to even, at and next to every midpoint", () => {
  const numbers = new Float32Array(HALVES.length);
  decodeFloat16(HALVES, numbers);
  const sorted = numbers.toSorted();
  const midpoints = sorted.slice(1).map((number, i) => (number + sorted[i]) / 2);
  expectRounded(midpoints, "midpoints");
  for (const offset of [-1, 1]) {
    const words = new Int32Array(midpoints.slice().buffer);
    // The bit patterns next to zero's are not its numeric neighbors.
    words.forEach((word, i) => words[i] = word << 1 === 0 ? word : word + offset);
    expectRounded(new Float32Array(words.buffer), `${offset} from midpoints`);
  }
  const random = seeded(1);
  const sizes = floats(random, 20_000, { low: -60, high: 15 });
  expectRounded(sizes.map((size) => (random() < 0.5 ? -1 : 1) * 2 ** size), "random");
});

Deno.test("numbers out of float16's range are reported at any position", () => {
  for (const number of [65504.004, -65504.004, 65519, 1e9, Infinity, -Infinity, NaN]) {
    for (const at of [0, 3, 6]) {
      const numbers = new Float32Array(7).fill(65504);
      numbers[at] = number;
      assert.equal(tryFloat16Bits(numbers, new Uint16Array(7)), false, `${number} at ${at}`);
    }
  }
  assert.equal(tryFloat16Bits(new Float32Array([65504, -65504]), new Uint16Array(2)), true);
  for (const half of [0x7c00, 0xfc00, 0x7c01, 0xffff]) {
    assert.equal(decodeFloat16(Uint16Array.of(0x7bff, 0xfbff, half), new Float32Array(3)), 2);
  }
});
