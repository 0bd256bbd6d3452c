/** Comparison of float arrays. */

import assert from "node:assert/strict";

/** Returns the largest absolute difference; NaN counts as infinite. */
export function maxDifference(got: Float32Array, wanted: Float32Array): number {
  assert.equal(got.length, wanted.length, "lengths differ");
  let worst = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i] - wanted[i]);
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
  }
  return worst;
}

/** Asserts that all differences are at most `atol`. */
export function assertClose(
  got: Float32Array,
  wanted: Float32Array,
  { atol, what = "values" }: { atol: number; what?: string },
) {
  const difference = maxDifference(got, wanted);
  assert.ok(difference <= atol, `${what}: off by ${difference}, allowed ${atol}`);
}
