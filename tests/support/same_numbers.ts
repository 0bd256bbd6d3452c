import assert from "node:assert/strict";

/** Asserts that long arrays are bit-identical, and reports the first difference. */
export function assertSameNumbers(
  actual: Float32Array,
  expected: Float32Array,
  what = "numbers",
): void {
  assert.equal(actual.length, expected.length, what);
  const at = actual.findIndex((value, i) => !Object.is(value, expected[i]));
  assert.ok(at < 0, `${what}: ${actual[at]} at ${at}, expected ${expected[at]}`);
}
