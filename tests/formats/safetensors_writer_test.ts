import assert from "node:assert/strict";
import { MemorySink } from "../../src/formats/byte_sink.ts";
import type { NewTensor } from "../../src/formats/new_tensor.ts";
import { encodeSafetensors } from "../../src/formats/safetensors.ts";
import { SafetensorsWriter } from "../../src/formats/safetensors_writer.ts";
import { DTYPE_BYTES } from "../../src/formats/tensor_layout.ts";
import { open, testRandom } from "./hostile.ts";

const random = testRandom(3);
const noise = (length: number) => Uint8Array.from({ length }, () => random(256));

/** Creates bytes for each tensor. */
function contents(tensors: readonly NewTensor[]): Map<string, Uint8Array> {
  return new Map(
    tensors.map(({ name, dtype, shape }) => [
      name,
      noise(shape.reduce((a, b) => a * b, DTYPE_BYTES.get(dtype)!)),
    ]),
  );
}

Deno.test("tensors of every dtype are read back after writes in any order", async () => {
  const tensors: NewTensor[] = [
    ...[...DTYPE_BYTES.keys()].map((dtype) => ({ name: dtype, dtype, shape: [3, 1, 5] })),
    { name: "scalar", dtype: "F64", shape: [] },
    { name: "none", dtype: "F32", shape: [7, 0] },
    { name: "weiß 世界", dtype: "U8", shape: [1] },
  ];
  const data = contents(tensors);
  const sink = new MemorySink("test.bin");
  const metadata = { model: "demo", errors: "世界 \n\"0.25'" };
  const writer = new SafetensorsWriter(sink, tensors, { reserve: metadata });
  for (const { name } of tensors.toReversed()) {
    const bytes = data.get(name)!;
    const middle = random(bytes.length + 1);
    await writer.write(name, middle, bytes.subarray(middle));
    await writer.write(name, 0, bytes.subarray(0, middle));
  }
  await writer.finish(metadata);
  assert.equal(sink.bytes.length, writer.byteLength);
  const checkpoint = await open(sink.bytes);
  assert.deepEqual({ ...checkpoint.metadata }, metadata);
  assert.deepEqual([...checkpoint.tensors.keys()], tensors.map(({ name }) => name));
  for (const { name, dtype, shape } of tensors) {
    const info = checkpoint.tensors.get(name)!;
    assert.deepEqual([info.dtype, info.shape], [dtype, shape]);
    assert.deepEqual(await checkpoint.readRaw(name, 0, info.byteLength), data.get(name), name);
  }
});

Deno.test("incremental writing and encoding in memory give the same bytes", async () => {
  const values = Float32Array.of(1.5, -0, 1e-42, 3e38, 0.1, -7);
  const metadata = { "ключ": "1" };
  const sink = new MemorySink("test.bin");
  const writer = new SafetensorsWriter(sink, [{ name: "x", dtype: "F32", shape: [2, 3] }], {
    reserve: metadata,
  });
  await writer.write("x", 0, new Uint8Array(values.buffer));
  await writer.finish(metadata);
  const encoded = encodeSafetensors(new Map([["x", { shape: [2, 3], data: values }]]), metadata);
  assert.deepEqual(sink.bytes, encoded);
});

Deno.test("metadata can be shorter than reserved, but not longer", async () => {
  const tensors = [{ name: "x", dtype: "U8", shape: [3] }];
  for (const length of [0, 1, 7, 8, 9, 100]) {
    const sink = new MemorySink("test.bin", 200);
    const writer = new SafetensorsWriter(sink, tensors, { reserve: { error: "#".repeat(100) } });
    await writer.write("x", 0, Uint8Array.of(1, 2, 3));
    await assert.rejects(writer.finish({ error: "1".repeat(116) }), /the header: it has \d+ bytes/);
    await writer.finish(length === 0 ? {} : { error: "1".repeat(length) });
    assert.equal(new DataView(sink.bytes.buffer).getUint32(0, true) % 8, 0);
    const checkpoint = await open(sink.bytes);
    assert.deepEqual(checkpoint.metadata.error, length === 0 ? undefined : "1".repeat(length));
    assert.deepEqual(await checkpoint.readRaw("x", 0, 3), Uint8Array.of(1, 2, 3));
  }
});

Deno.test("a file without tensors is read back", async () => {
  const sink = new MemorySink("test.bin");
  await new SafetensorsWriter(sink, []).finish();
  assert.equal((await open(sink.bytes)).tensors.size, 0);
});

Deno.test("bytes outside a tensor, missing bytes and bytes written twice are errors", async () => {
  const tensors = [{ name: "x", dtype: "F16", shape: [3] }, {
    name: "y",
    dtype: "U8",
    shape: [2],
  }];
  const sink = new MemorySink("test.bin");
  const writer = new SafetensorsWriter(sink, tensors);
  await assert.rejects(writer.write("z", 0, new Uint8Array(1)), /"z": it is not in the list/);
  for (const [offset, length] of [[0, 7], [6, 1], [-1, 1], [0.5, 1], [NaN, 1]]) {
    await assert.rejects(writer.write("x", offset, new Uint8Array(length)), /of tensor "x" of 6/);
  }
  assert.equal(sink.bytes.length, 0);
  await writer.write("x", 0, new Uint8Array(6));
  await assert.rejects(writer.finish(), /0 bytes of tensor "y" of 2 were written/);
  await writer.write("y", 1, new Uint8Array(1));
  await assert.rejects(writer.finish(), /1 bytes of tensor "y" of 2/);
  await writer.write("y", 0, new Uint8Array(2));
  await assert.rejects(writer.finish(), /3 bytes of tensor "y" of 2/);
});

Deno.test("invalid tensor descriptions are errors", () => {
  const make = (...tensors: NewTensor[]) => () =>
    new SafetensorsWriter(new MemorySink("test.bin"), tensors);
  const x = { name: "x", dtype: "F32", shape: [2] };
  assert.throws(make(x, x), /"x": the name occurs twice/);
  assert.throws(make({ ...x, name: "__metadata__" }), /__metadata__/);
  assert.throws(make({ ...x, dtype: "F4" }), /dtype F4 or shape/);
  for (const shape of [[-1, -1], [0.3], [NaN], [2 ** 40, 2 ** 40]]) {
    assert.throws(make({ ...x, shape }), /dtype F32 or shape .* is invalid/);
  }
});
