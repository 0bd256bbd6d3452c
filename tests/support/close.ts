/** Comparison of float arrays. */

import assert from "node:assert/strict";

/** Returns the largest absolute difference; NaN counts as infinite. */
export function maxDifference(actual: Float32Array, expected: Float32Array): number {
  assert.equal(actual.length, expected.length, "lengths differ");
  let worst = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i] - expected[i]);
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
  }
  return worst;
}

/** Asserts that all differences are at most `atol`. */
export function assertClose(
  actual: Float32Array,
  expected: Float32Array,
  { atol, what = "values" }: { atol: number; what?: string },
) {
  const difference = maxDifference(actual, expected);
  assert.ok(difference <= atol, `${what}: off by ${difference}, allowed ${atol}`);
}
