import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { encodeSafetensors } from "../../src/formats/safetensors.ts";
import { assertRejected, open, survives, testRandom } from "./hostile.ts";
import { encodeFloats } from "./pth_fixture.ts";
import { concat } from "./zip_fixture.ts";

/** Builds a file from a header, as JSON or text, and data. */
function file(header: unknown, data: Uint8Array = new Uint8Array()): Uint8Array {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  const bytes = new TextEncoder().encode(text);
  return concat([new Uint8Array(BigUint64Array.of(BigInt(bytes.length)).buffer), bytes, data]);
}

const state = Float32Array.of(1.5, -0, 1e-42, 3e38, 0.1, -7);

Deno.test("a written file is read back with its metadata", async () => {
  const metadata = { model: "demo", "weiß": "世界", "__proto__x": "1" };
  const tensors = new Map([
    ["state", { shape: [2, 3], data: state }],
    ["none", { shape: [0], data: new Float32Array() }],
    ["scalar", { shape: [], data: Float32Array.of(9) }],
  ]);
  const bytes = encodeSafetensors(tensors, metadata);
  const checkpoint = await open(bytes);
  assert.equal(checkpoint.format, "safetensors");
  assert.deepEqual({ ...checkpoint.metadata }, metadata);
  assert.deepEqual([...checkpoint.tensors.keys()].sort(), ["none", "scalar", "state"]);
  for (const [name, { shape, data }] of tensors) {
    assert.deepEqual(checkpoint.tensors.get(name)?.shape, shape);
    const values = await checkpoint.read(name);
    assert.deepEqual(new Uint8Array(values.buffer), new Uint8Array(data.buffer));
  }
  assert.deepEqual(await checkpoint.readRows("state", 1, 1), state.subarray(3));
  const headerLength = new DataView(bytes.buffer).getUint32(0, true);
  assert.equal(headerLength % 8, 0);
  assert.deepEqual((await open(encodeSafetensors(tensors))).metadata, {});
});

Deno.test("a shape that does not match its data is rejected", () => {
  assert.throws(
    () => encodeSafetensors(new Map([["state", { shape: [7], data: state }]])),
    (error: unknown) => error instanceof InferenceError && error.code === "invalid_value",
  );
});

Deno.test("all float dtypes are widened, at odd offsets and in any order", async () => {
  const values = Float32Array.of(1, -2.5, 0.125);
  const data = concat([
    Uint8Array.of(7),
    encodeFloats("BF16", values),
    encodeFloats("F32", values),
    encodeFloats("F16", values),
  ]);
  const checkpoint = await open(file({
    h: { dtype: "F16", shape: [3, 1], data_offsets: [19, 25] },
    b: { dtype: "BF16", shape: [1, 3], data_offsets: [1, 7] },
    u: { dtype: "U8", shape: [1], data_offsets: [0, 1] },
    f: { dtype: "F32", shape: [3], data_offsets: [7, 19] },
  }, data));
  for (const name of ["h", "b", "f"]) assert.deepEqual(await checkpoint.read(name), values, name);
  assert.deepEqual(Uint8Array.from(await checkpoint.readRaw("u", 0, 1)), Uint8Array.of(7));
  await assert.rejects(checkpoint.read("u"), /tensor "u" has the unsupported dtype U8/);
});

Deno.test("an unknown dtype is listed", async () => {
  const header = { x: { dtype: "F4_NEW", shape: [3], data_offsets: [0, 2] } };
  const checkpoint = await open(file(header, new Uint8Array(2)));
  assert.equal(checkpoint.tensors.get("x")?.byteLength, 2);
  await assert.rejects(checkpoint.read("x"), /dtype F4_NEW/);
});

Deno.test("damaged headers are rejected", async () => {
  const tensor = (changes: object) => ({
    x: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...changes },
  });
  const data = new Uint8Array(8);
  await open(file(tensor({}), data));
  await assertRejected(file(tensor({ shape: [3] }), data), /tensor "x", F32 of shape \[3\]/);
  await assertRejected(file(tensor({ shape: [-1, -2] }), data), /tensor "x" is malformed/);
  await assertRejected(file(tensor({ shape: [0.5, 4] }), data), /tensor "x" is malformed/);
  await assertRejected(file(tensor({ shape: [2 ** 52, 2 ** 52] }), data), /too large/);
  await assertRejected(file(tensor({ shape: "2" }), data), /malformed/);
  await assertRejected(file(tensor({ dtype: 32 }), data), /malformed/);
  await assertRejected(file(tensor({ data_offsets: [8, 0] }), data), /cannot lie at bytes 8 to 0/);
  await assertRejected(file(tensor({ data_offsets: [0] }), data), /malformed/);
  await assertRejected(file(tensor({ data_offsets: [4, 12] }), data), /gap/);
  await assertRejected(file(tensor({}), new Uint8Array(9)), /end at byte .* incomplete/);
  await assertRejected(file({ x: null }), /malformed/);
  await assertRejected(file({ __metadata__: { a: 1 } }), /string metadata/);
  await assertRejected(file("{not json"), /header is not JSON: the file is damaged/);
  await assertRejected(
    file(`{"a":${"[".repeat(200_000)}`),
    /header is not JSON: the file is damaged/,
  );
  const overlap = { ...tensor({}), y: { dtype: "F32", shape: [1], data_offsets: [4, 8] } };
  await assertRejected(file(overlap, data), /overlap/);
  const long = file(tensor({}), data);
  long[5] = 1;
  await assertRejected(long, /header of \d+ bytes in a file of/);
});

Deno.test("other file formats are rejected with a remedy", async () => {
  const text = (value: string) => Uint8Array.from(value, (c) => c.charCodeAt(0));
  await assertRejected(new Uint8Array(), /is empty/);
  await assertRejected(text("GGUF\x03\0\0\0 and so on"), /GGUF/);
  await assertRejected(text("version https://git-lfs.github.com/spec/v1\n"), /git lfs pull/);
  await assertRejected(text("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02"), /torch 1\.6/);
  await assertRejected(text("\x80\x04\x95\0\0"), /bare pickle/);
  await assertRejected(text("<!doctype html><html>"), /is a web page/);
  await assertRejected(text("lmgg\x01\0\0\0"), /is a ggml file/);
  await assertRejected(text('{\n "weight_map": {}}'), /is JSON without tensors/);
  await assertRejected(text("\x28\xb5\x2f\xfd and so on"), /is compressed with zstd/);
  await assertRejected(text("some text"), /neither a \.pth nor a \.safetensors/);
});

Deno.test("truncations and bit flips result in an InferenceError or a value", async () => {
  const original = encodeSafetensors(
    new Map([["state", { shape: [2, 3], data: state }], ["b", {
      shape: [1],
      data: state.slice(5),
    }]]),
    { model: "demo" },
  );
  for (let length = 0; length < original.length; length++) {
    assert.equal(await survives(original.subarray(0, length), `length ${length}`), "refused");
  }
  const random = testRandom(11);
  for (let round = 0; round < 3000; round++) {
    const bytes = original.slice();
    for (let i = random(3); i >= 0; i--) bytes[random(bytes.length)] = random(256);
    await survives(bytes, `round ${round}`);
  }
});

Deno.test("a header with many malformed entries is rejected with a short message", async () => {
  const many = 300_000;
  const of = (shape: unknown) => ({ x: { dtype: "F32", shape, data_offsets: [0, 0] } });
  const headers = [
    of(Array(many).fill("1")),
    of(Array(many).fill(1)),
    { __metadata__: Object.fromEntries(Array.from({ length: many }, (_, i) => [`k${i}`, i])) },
    { x: { ...of([]).x, data_offsets: Array(many).fill(0) } },
  ];
  for (const header of headers) {
    await assert.rejects(open(file(header)), (error: Error) => {
      assert.ok(error.message.length < 500, error.message.slice(0, 500));
      return true;
    });
  }
});
