import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import {
  decodeState,
  encodeState,
  readStateHeader,
  STATE_CODECS,
  STATE_HEADER_BYTES,
  type StateCodec,
  type StateShape,
} from "../../../src/store/states/state_codec.ts";
import { floats, seeded } from "../../support/random_data.ts";
import { assertSameNumbers } from "../../support/same_numbers.ts";
import { hostileRow } from "./hostile_rows.ts";

const SHAPES: readonly StateShape[] = [
  { layers: 1, width: 1, headSize: 1 },
  { layers: 3, width: 6, headSize: 3 },
  { layers: 2, width: 5, headSize: 5 },
  { layers: 2, width: 128, headSize: 64 },
];

function lengthOf({ layers, width, headSize }: StateShape): number {
  return layers * width * (headSize + 2);
}

/** Returns a state in which all rows and token shifts are hostile. */
function hostileState(random: () => number, shape: StateShape): Float32Array {
  const state = new Float32Array(lengthOf(shape));
  for (let at = 0; at < state.length; at += shape.headSize) {
    state.set(hostileRow(random, Math.min(shape.headSize, state.length - at)), at);
  }
  return state;
}

function sameBytes(actual: Uint8Array, expected: Uint8Array, label: string) {
  assert.equal(actual.length, expected.length, label);
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  assert.ok(at < 0, `${label}: byte ${at} is ${actual[at]} instead of ${expected[at]}`);
}

function rejectsState(bytes: Uint8Array, message: RegExp) {
  for (const read of [decodeState, readStateHeader]) {
    assert.throws(
      () => read(bytes),
      (error) =>
        error instanceof InferenceError && error.code === "state_damaged" &&
        message.test(error.message),
      `${read.name}: ${message}`,
    );
  }
}

/** Asserts that decoding fails although the header is valid. */
function rejectsBody(bytes: Uint8Array, message: RegExp) {
  readStateHeader(bytes);
  assert.throws(() => decodeState(bytes), { code: "state_damaged", message });
}

/** Returns a state header with arbitrary fields. */
function headerOf(version: number, codec: number, ...words: number[]): Uint8Array {
  const header = new DataView(new ArrayBuffer(8 + 4 * words.length));
  header.setUint32(0, 0x534b5752, true);
  header.setUint16(4, version, true);
  header.setUint16(6, codec, true);
  words.forEach((word, i) => header.setUint32(8 + 4 * i, word, true));
  return new Uint8Array(header.buffer);
}

Deno.test("f32 preserves every bit of every number", () => {
  const bits = new Uint32Array([0, 0x80000000, 0x7f800001, 0xffc12345, 0x7f7fffff, 1]);
  const state = new Float32Array(bits.buffer);
  const shape = { layers: 2, width: 1, headSize: 1 };
  const bytes = encodeState(state, { codec: "f32", shape });
  assert.deepEqual([...bytes.slice(0, 8)], [82, 87, 75, 83, 2, 0, 0, 0]);
  assert.deepEqual(new Uint32Array(decodeState(bytes).buffer), bits);
});

Deno.test("version 1 decodes bit for bit", () => {
  const bits = new Uint32Array([0x7f800001, 0x80000000, 5]);
  const bytes = new Uint8Array([...headerOf(1, 0, 3, 0), ...new Uint8Array(bits.buffer)]);
  assert.deepEqual(new Uint32Array(decodeState(bytes).buffer), bits);
  assert.deepEqual(readStateHeader(bytes), {
    version: 1,
    codec: "f32",
    shape: null,
    numbers: 3,
    bytes: 28,
  });
  assert.deepEqual(decodeState(headerOf(1, 0, 0, 0)), new Float32Array());
});

Deno.test("a header gives codec, shape and sizes without the body", () => {
  for (const shape of SHAPES) {
    for (const codec of STATE_CODECS) {
      const bytes = encodeState(new Float32Array(lengthOf(shape)), { codec, shape });
      const header = {
        version: 2 as const,
        codec,
        shape,
        numbers: lengthOf(shape),
        bytes: bytes.length,
      };
      assert.deepEqual(readStateHeader(bytes), header);
      assert.deepEqual(readStateHeader(bytes.subarray(0, STATE_HEADER_BYTES)), header);
    }
  }
});

Deno.test("encoded states have the documented sizes", () => {
  const shape = { layers: 24, width: 1024, headSize: 64 };
  const state = new Float32Array(lengthOf(shape));
  const bytes = (codec: StateCodec) => encodeState(state, { codec, shape }).length;
  assert.equal(bytes("f32"), 20 + 24 * 1024 * 66 * 4);
  assert.equal(bytes("f16"), 20 + 24 * 1024 * 66 * 2);
  assert.equal(bytes("q8"), 20 + 24 * 1024 * (64 + 6));
});

Deno.test("views at any offset are encoded and decoded", () => {
  const random = seeded(7);
  for (const shape of SHAPES) {
    const state = hostileState(random, shape);
    const offset = new Float32Array(state.length + 3);
    offset.set(state, 1);
    for (const codec of STATE_CODECS) {
      const bytes = encodeState(state, { codec, shape });
      sameBytes(
        encodeState(offset.subarray(1, 1 + state.length), { codec, shape }),
        bytes,
        `${codec}, view at an offset`,
      );
      for (const shift of [1, 2, 3]) {
        const shifted = new Uint8Array(bytes.length + 8);
        shifted.set(bytes, shift);
        assertSameNumbers(
          decodeState(shifted.subarray(shift, shift + bytes.length)),
          decodeState(bytes),
          `${codec} at ${shift}`,
        );
      }
    }
  }
});

Deno.test("a decoded state encodes to the same bytes with every codec", () => {
  const random = seeded(5);
  for (const shape of SHAPES) {
    for (let i = 0; i < 200; i++) {
      const state = hostileState(random, shape);
      for (const codec of STATE_CODECS) {
        const bytes = encodeState(state, { codec, shape });
        assert.equal(readStateHeader(bytes).codec, codec);
        const again = encodeState(decodeState(bytes), { codec, shape });
        sameBytes(again, bytes, `${codec}, state ${i} of ${shape.width}`);
      }
    }
  }
});

Deno.test("f16 rounds every number, and q8 rounds token shifts like f16", () => {
  const random = seeded(6);
  const shape = { layers: 2, width: 6, headSize: 3 };
  for (let i = 0; i < 200; i++) {
    const state = hostileState(random, shape);
    const halves = decodeState(encodeState(state, { codec: "f16", shape }));
    assertSameNumbers(halves, Float32Array.from(Float16Array.from(state)), "f16");
    const codes = decodeState(encodeState(state, { codec: "q8", shape }));
    for (const at of [0, 6 * 4, 6 * 5, 6 * 9]) {
      assertSameNumbers(codes.slice(at, at + 6), halves.slice(at, at + 6), `q8, shift at ${at}`);
    }
  }
});

Deno.test("a number outside the range of float16 makes the whole state f32", () => {
  const shape = { layers: 2, width: 6, headSize: 3 };
  for (const number of [65504.004, -65520, 3e38, Infinity, -Infinity, NaN]) {
    // Positions in each part of the first and the last layer.
    for (const at of [0, 5, 6, 23, 24, 29, 30, 35, 36, 53, 54, 59]) {
      const state = floats(seeded(at), lengthOf(shape));
      state[at] = number;
      const plain = encodeState(state, { codec: "f32", shape });
      for (const codec of STATE_CODECS) {
        const bytes = encodeState(state, { codec, shape });
        assert.equal(readStateHeader(bytes).codec, "f32");
        sameBytes(bytes, plain, `${codec}, ${number} at ${at}`);
      }
    }
  }
});

Deno.test("a state with the wrong shape is not encoded", () => {
  const shape = { layers: 1, width: 4, headSize: 2 };
  for (const codec of STATE_CODECS) {
    assert.throws(() => encodeState(new Float32Array(15), { codec, shape }), /15 numbers/);
    for (
      const [wrong, message] of [
        [{ ...shape, headSize: 3 }, /width 4 is not a multiple of head size 3/],
        [{ ...shape, layers: 0 }, /layers is 0/],
        [{ ...shape, width: 1.5 }, /width is 1.5/],
      ] as const
    ) {
      assert.throws(() => encodeState(new Float32Array(16), { codec, shape: wrong }), message);
    }
  }
});

Deno.test("each kind of invalid header has its own error", () => {
  const max = 2 ** 32 - 1;
  rejectsState(new Uint8Array(), /0 bytes are too few for a header/);
  rejectsState(headerOf(2, 0).slice(0, 7), /7 bytes are too few for a header/);
  rejectsState(new Uint8Array(100), /does not begin with RWKS/);
  rejectsState(headerOf(0, 0, 1, 1, 1), /format version is 0 and this worker reads 1 and 2/);
  rejectsState(headerOf(3, 0, 1, 1, 1), /format version is 3/);
  rejectsState(headerOf(1, 1, 0, 0), /version 1 has no codec 1/);
  rejectsState(headerOf(2, 3, 1, 1, 1), /version 2 has no codec 3/);
  rejectsState(headerOf(1, 0, 1), /12 bytes are too few for its header of 16/);
  rejectsState(headerOf(2, 1, 1, 1), /16 bytes are too few for its header of 20/);
  rejectsState(headerOf(2, 1, 0, 1, 1), /layers is 0/);
  rejectsState(headerOf(2, 1, 1, 0, 1), /width is 0/);
  rejectsState(headerOf(2, 1, 1, 1, 0), /headSize is 0/);
  rejectsState(headerOf(2, 1, 1, 6, 4), /width 6 is not a multiple of head size 4/);
  // Declared sizes that exceed the input and any memory.
  rejectsBody(headerOf(1, 0, max, 0), /4294967295 numbers need .*, but there are 16/);
  for (const codec of STATE_CODECS.keys()) {
    rejectsBody(headerOf(2, codec, max, max, max), /need .* bytes, but there are 20/);
    rejectsBody(headerOf(2, codec, max, 64, 64), /need .* bytes, but there are 20/);
  }
});

Deno.test("each kind of invalid body has its own error", () => {
  const shape = { layers: 2, width: 4, headSize: 2 };
  const state = floats(seeded(9), lengthOf(shape));
  const encoded = (codec: StateCodec) => encodeState(state, { codec, shape });
  const withHalf = (codec: StateCodec, index: number, half: number) => {
    const bytes = encoded(codec);
    new DataView(bytes.buffer).setUint16(20 + 2 * index, half, true);
    return bytes;
  };
  for (const codec of STATE_CODECS) {
    const bytes = encoded(codec);
    const message = new RegExp(
      `2 layers of 4 with head size 2 as ${codec} need ${bytes.length} byt`,
    );
    rejectsBody(bytes.slice(0, -1), message);
    rejectsBody(new Uint8Array([...bytes, 0]), message);
  }
  rejectsBody(withHalf("f16", 17, 0x7c00), /number 17 is not finite/);
  rejectsBody(withHalf("f16", 31, 0xfe00), /number 31 is not finite/);
  rejectsBody(withHalf("q8", 1, 0x7e00), /token shift 1 of layer 0 is not finite/);
  rejectsBody(withHalf("q8", 12 + 8 + 3, 0xfc00), /token shift 3 of layer 1 is not finite/);
  rejectsBody(withHalf("q8", 12 + 4 + 2, 0x7c00), /scale of row 2 of layer 1/);
  rejectsBody(withHalf("q8", 4, 0xbc00), /scale of row 0 of layer 0/);
});

Deno.test("random damage leads to an error or to other numbers", () => {
  const random = seeded(8);
  const below = (limit: number) => Math.floor(random() * limit);
  let rejected = 0, decoded = 0;
  for (let i = 0; i < 6000; i++) {
    const shape = SHAPES[below(3)];
    const codec = STATE_CODECS[below(3)];
    let bytes = encodeState(hostileState(random, shape), { codec, shape });
    const end = random() < 0.5 ? STATE_HEADER_BYTES : bytes.length;
    for (let change = below(4); change >= 0; change--) bytes[4 + below(end - 4)] = below(256);
    if (below(4) === 0) bytes = bytes.slice(0, below(bytes.length + 1));
    if (below(8) === 0) bytes = new Uint8Array([...bytes, ...new Uint8Array(below(40))]);
    try {
      const state = decodeState(bytes);
      const { numbers, codec } = readStateHeader(bytes);
      assert.equal(state.length, numbers);
      // A code of one byte becomes a number of four bytes, the largest possible expansion.
      assert.ok(state.byteLength <= 4 * bytes.length);
      if (codec !== "f32") assert.ok(state.every(Number.isFinite));
      decoded++;
    } catch (error) {
      assert.ok(error instanceof InferenceError && error.code === "state_damaged", `${error}`);
      rejected++;
    }
  }
  assert.ok(rejected > 1000 && decoded > 1000, `${rejected} rejected, ${decoded} decoded`);
});
