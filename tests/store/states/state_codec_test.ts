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

/** A state of hostile rows, shifts too. */
function hostileState(random: () => number, shape: StateShape): Float32Array {
  const state = new Float32Array(lengthOf(shape));
  for (let at = 0; at < state.length; at += shape.headSize) {
    state.set(hostileRow(random, Math.min(shape.headSize, state.length - at)), at);
  }
  return state;
}

function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string) {
  assert.equal(actual.length, expected.length, what);
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  assert.ok(at < 0, `${what}: ${actual[at]} at ${at}, where ${expected[at]} should be`);
}

function refuses(bytes: Uint8Array, message: RegExp) {
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

/** As {@linkcode refuses}, of what the header does not tell. */
function refusesToDecode(bytes: Uint8Array, message: RegExp) {
  readStateHeader(bytes);
  assert.throws(() => decodeState(bytes), { code: "state_damaged", message });
}

/** A stored state's header, with anything in it. */
function headerOf(version: number, codec: number, ...words: number[]): Uint8Array {
  const header = new DataView(new ArrayBuffer(8 + 4 * words.length));
  header.setUint32(0, 0x534b5752, true);
  header.setUint16(4, version, true);
  header.setUint16(6, codec, true);
  words.forEach((word, i) => header.setUint32(8 + 4 * i, word, true));
  return new Uint8Array(header.buffer);
}

Deno.test("f32 keeps every bit, whatever the numbers are", () => {
  const bits = new Uint32Array([0, 0x80000000, 0x7f800001, 0xffc12345, 0x7f7fffff, 1]);
  const state = new Float32Array(bits.buffer);
  const shape = { layers: 2, width: 1, headSize: 1 };
  const bytes = encodeState(state, { codec: "f32", shape });
  assert.deepEqual([...bytes.slice(0, 8)], [82, 87, 75, 83, 2, 0, 0, 0]);
  assert.deepEqual(new Uint32Array(decodeState(bytes).buffer), bits);
});

Deno.test("version 1 is read, to the bit", () => {
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

Deno.test("a header tells codec, shape and sizes, without what follows", () => {
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

Deno.test("codecs take the bytes that they are for", () => {
  const shape = { layers: 24, width: 1024, headSize: 64 };
  const state = new Float32Array(lengthOf(shape));
  const bytes = (codec: StateCodec) => encodeState(state, { codec, shape }).length;
  assert.equal(bytes("f32"), 20 + 24 * 1024 * 66 * 4);
  assert.equal(bytes("f16"), 20 + 24 * 1024 * 66 * 2);
  assert.equal(bytes("q8"), 20 + 24 * 1024 * (64 + 6));
});

Deno.test("views at any offset are coded as well", () => {
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
        `${codec}, a state among others`,
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

Deno.test("what was decoded is encoded to the same bytes, with every codec", () => {
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

Deno.test("f16 rounds every number, q8 token shifts as f16 does", () => {
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

Deno.test("what float16 has no room for makes the whole state f32, and its header says so", () => {
  const shape = { layers: 2, width: 6, headSize: 3 };
  for (const number of [65504.004, -65520, 3e38, Infinity, -Infinity, NaN]) {
    // In each part of a layer, of the first and the last one.
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

Deno.test("a state that is not of its shape is not encoded", () => {
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

Deno.test("headers that cannot be are refused, each by its own message", () => {
  const most = 2 ** 32 - 1;
  refuses(new Uint8Array(), /0 bytes are too few for a header/);
  refuses(headerOf(2, 0).slice(0, 7), /7 bytes are too few for a header/);
  refuses(new Uint8Array(100), /does not begin with RWKS/);
  refuses(headerOf(0, 0, 1, 1, 1), /format version is 0 and this worker reads 1 and 2/);
  refuses(headerOf(3, 0, 1, 1, 1), /format version is 3/);
  refuses(headerOf(1, 1, 0, 0), /version 1 has no codec 1/);
  refuses(headerOf(2, 3, 1, 1, 1), /version 2 has no codec 3/);
  refuses(headerOf(1, 0, 1), /12 bytes are too few for its header of 16/);
  refuses(headerOf(2, 1, 1, 1), /16 bytes are too few for its header of 20/);
  refuses(headerOf(2, 1, 0, 1, 1), /layers is 0/);
  refuses(headerOf(2, 1, 1, 0, 1), /width is 0/);
  refuses(headerOf(2, 1, 1, 1, 0), /headSize is 0/);
  refuses(headerOf(2, 1, 1, 6, 4), /width 6 is not a multiple of head size 4/);
  // Sizes of which a few bytes hold nothing, and which no memory would.
  refusesToDecode(headerOf(1, 0, most, 0), /4294967295 numbers need .*, but there are 16/);
  for (const codec of STATE_CODECS.keys()) {
    refusesToDecode(headerOf(2, codec, most, most, most), /need .* bytes, but there are 20/);
    refusesToDecode(headerOf(2, codec, most, 64, 64), /need .* bytes, but there are 20/);
  }
});

Deno.test("bodies that no encoder writes are refused, each by its own message", () => {
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
    const what = new RegExp(`2 layers of 4 with head size 2 as ${codec} need ${bytes.length} byt`);
    refusesToDecode(bytes.slice(0, -1), what);
    refusesToDecode(new Uint8Array([...bytes, 0]), what);
  }
  refusesToDecode(withHalf("f16", 17, 0x7c00), /number 17 is not finite/);
  refusesToDecode(withHalf("f16", 31, 0xfe00), /number 31 is not finite/);
  refusesToDecode(withHalf("q8", 1, 0x7e00), /token shift 1 of layer 0 is not finite/);
  refusesToDecode(withHalf("q8", 12 + 8 + 3, 0xfc00), /token shift 3 of layer 1 is not finite/);
  refusesToDecode(withHalf("q8", 12 + 4 + 2, 0x7c00), /scale of row 2 of layer 1/);
  refusesToDecode(withHalf("q8", 4, 0xbc00), /scale of row 0 of layer 0/);
});

Deno.test("damage is an error or other numbers, never anything else", () => {
  const random = seeded(8);
  const below = (limit: number) => Math.floor(random() * limit);
  let refused = 0, read = 0;
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
      // A code of one byte becomes a number of four; nothing takes more than that.
      assert.ok(state.byteLength <= 4 * bytes.length);
      if (codec !== "f32") assert.ok(state.every(Number.isFinite));
      read++;
    } catch (error) {
      assert.ok(error instanceof InferenceError && error.code === "state_damaged", `${error}`);
      refused++;
    }
  }
  assert.ok(refused > 1000 && read > 1000, `${refused} refused, ${read} read`);
});
