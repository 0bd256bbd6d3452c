import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { decodeState, encodeState } from "../../src/store/state_codec.ts";

Deno.test("a state survives bit for bit", () => {
  const bits = new Uint32Array([0, 0x80000000, 0x7f800001, 0xffc12345, 0x7f7fffff, 1, 0x3f800000]);
  const state = new Float32Array(bits.buffer);
  const bytes = encodeState(state);
  assert.equal(bytes.length, 16 + 4 * 7);
  assert.deepEqual([...bytes.slice(0, 8)], [82, 87, 75, 83, 1, 0, 0, 0]);
  assert.deepEqual(new Uint32Array(decodeState(bytes).buffer), bits);
});

Deno.test("views at odd offsets are coded as well", () => {
  const state = new Float32Array([1, 2, 3, 4]).subarray(1, 3);
  const bytes = encodeState(state);
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  assert.deepEqual(decodeState(shifted.subarray(3)), new Float32Array([2, 3]));
  assert.deepEqual(decodeState(encodeState(new Float32Array())), new Float32Array());
});

Deno.test("what is not a state is refused", () => {
  const good = encodeState(new Float32Array([1, 2]));
  const changed = (index: number, value: number) => {
    const bytes = good.slice();
    bytes[index] = value;
    return bytes;
  };
  for (
    const [bytes, message] of [
      [good.slice(0, 10), /10 bytes are too few/],
      [changed(0, 0), /does not begin with RWKS/],
      [changed(4, 2), /version is 2/],
      [changed(6, 9), /encoding is 9/],
      [changed(8, 3), /3 numbers do not fit in 8 bytes/],
    ] as const
  ) {
    assert.throws(
      () => decodeState(bytes),
      (error) =>
        error instanceof InferenceError && error.code === "state_damaged" &&
        message.test(error.message),
    );
  }
});
