import assert from "node:assert/strict";

/** Asserts that long arrays are equal to the bit, and names the first place where they are not. */
export function sameNumbers(actual: Float32Array, expected: Float32Array, what = "numbers"): void {
  assert.equal(actual.length, expected.length, what);
  const at = actual.findIndex((value, i) => !Object.is(value, expected[i]));
  assert.ok(at < 0, `${what}: ${actual[at]} at ${at}, where ${expected[at]} should be`);
}
