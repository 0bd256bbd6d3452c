import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { type ByteSource, checkRange } from "../../src/formats/byte_source.ts";
import { openCheckpoint } from "../../src/formats/checkpoint.ts";
import { PickleWriter } from "../../src/formats/pickle_writer.ts";
import { assertRejected, open, survives, testRandom } from "./hostile.ts";
import { encodeFloats, type PthTensor, writePth } from "./pth_fixture.ts";
import { writeZip } from "./zip_fixture.ts";

const ramp = (length: number) => Float32Array.from({ length }, (_, i) => i / 4 - 3);

const tensors = new Map<string, PthTensor>([
  ["emb.weight", { dtype: "BF16", shape: [7, 5], data: ramp(35) }],
  ["blocks.0.att.time_mix_k", { dtype: "F16", shape: [1, 1, 5], data: ramp(5) }],
  ["ln_out.bias", { dtype: "F32", shape: [3], data: Float32Array.of(1e-40, -0, 3.4e38) }],
  ["scalar", { dtype: "F32", shape: [], data: Float32Array.of(0.1) }],
  ["empty", { dtype: "F32", shape: [0, 4], data: new Float32Array() }],
]);

const variants = {
  "protocol 2": {},
  "protocol 4": { protocol: 4 },
  "a nested dict": { nest: "state_dict" },
  "an OrderedDict with metadata": { ordered: true, protocol: 4, nest: "model" },
  "an odd prefix": { prefix: "RWKV x 世界 (1)" },
} as const;

for (const [what, options] of Object.entries(variants)) {
  Deno.test(`the tensors of a .pth of ${what} are read`, async () => {
    const checkpoint = await open(writePth(tensors, options));
    assert.equal(checkpoint.format, "pth");
    assert.deepEqual([...checkpoint.tensors.keys()], [...tensors.keys()]);
    for (const [name, { dtype, shape, data }] of tensors) {
      const info = checkpoint.tensors.get(name)!;
      assert.equal(info.dtype, dtype);
      assert.deepEqual(info.shape, shape);
      assert.equal(info.byteLength, data.length * (dtype === "F32" ? 4 : 2));
      const values = await checkpoint.read(name);
      assert.deepEqual(new Uint8Array(values.buffer), new Uint8Array(data.buffer), name);
      const raw = await checkpoint.readRaw(name, 0, info.byteLength);
      assert.deepEqual(Uint8Array.from(raw), encodeFloats(dtype, data));
    }
    assert.deepEqual(await checkpoint.readRows("emb.weight", 2, 3), ramp(35).subarray(10, 25));
    assert.deepEqual(await checkpoint.readRows("emb.weight", 7, 0), new Float32Array());
    assert.deepEqual(await checkpoint.readRows("empty", 0, 0), new Float32Array());
  });
}

Deno.test("a .pth is read with any archive folder, with and without zip64 end records", async () => {
  for (let length = 1; length <= 200; length++) {
    for (const zip64 of [false, true]) {
      const file = writePth(tensors, { prefix: "n".repeat(length), zip64 });
      const checkpoint = await open(file).catch((error) => assert.fail(`${length}: ${error}`));
      assert.deepEqual([...checkpoint.tensors.keys()], [...tensors.keys()], `${length}`);
      assert.deepEqual(await checkpoint.readRows("emb.weight", 2, 3), ramp(35).subarray(10, 25));
    }
  }
});

Deno.test("end records with wrong offsets are rejected", async () => {
  const file = writePth(tensors, { zip64: true });
  const end = file.length - 22;
  const locator = end - 20;
  const set = (at: number, value: number) => {
    const changed = file.slice();
    new DataView(changed.buffer).setUint32(at, value, true);
    return changed;
  };
  await assertRejected(set(end, 0), /not a zip archive.*end record is missing/);
  await assertRejected(set(locator + 8, file.length), /zip64 end record at \d+ is missing/);
  await assertRejected(set(locator + 8, 4), /zip64 end record at 4 is missing/);
  await assertRejected(set(locator + 12, 0xffffffff), /zip64 end record at \d+ is missing/);
  await assertRejected(set(locator - 56 + 40, file.length), /directory of \d+ bytes .* past/);
  await assertRejected(set(locator - 56 + 52, 1), /directory of \d+ bytes .* past/);
  await assertRejected(set(locator - 56 + 36, 1), /more than 65535 entries/);
});

Deno.test("rows and bytes outside a tensor are rejected", async () => {
  const checkpoint = await open(writePth(tensors));
  const invalid = (pattern: RegExp) => (error: unknown) => {
    assert(error instanceof InferenceError && error.code === "invalid_value");
    assert.match(error.message, pattern);
    return true;
  };
  await assert.rejects(checkpoint.readRows("emb.weight", 6, 2), invalid(/it has 7 rows/));
  await assert.rejects(checkpoint.readRows("emb.weight", -1, 1), invalid(/7 rows/));
  await assert.rejects(checkpoint.readRows("emb.weight", 0.5, 1), invalid(/7 rows/));
  await assert.rejects(checkpoint.readRows("scalar", 0, 1), invalid(/it is a scalar/));
  await assert.rejects(checkpoint.readRaw("emb.weight", 60, 11), invalid(/it has 70 bytes/));
  await assert.rejects(checkpoint.read("emb"), /test\.bin: has no tensor "emb"/);
});

Deno.test("shared storages, offsets and strides are honoured", async () => {
  const views = new Map([
    ["t", { of: "emb.weight", offset: 0, shape: [5, 7], strides: [1, 5] }],
    ["rows", { of: "emb.weight", offset: 5, shape: [3, 5], strides: [10, 1] }],
    ["column", { of: "emb.weight", offset: 3, shape: [7], strides: [5] }],
    ["cube", { of: "emb.weight", offset: 1, shape: [2, 1, 3, 2], strides: [2, 99, 10, 5] }],
  ]);
  const checkpoint = await open(writePth(tensors, { views }));
  const data = ramp(35);
  for (const [name, { offset, shape, strides }] of views) {
    let indices = [offset];
    shape.forEach((size, d) => {
      indices = indices.flatMap((base) =>
        Array.from({ length: size }, (_, i) => base + i * strides[d])
      );
    });
    const expected = Float32Array.from(indices, (i) => data[i]);
    assert.deepEqual(await checkpoint.read(name), expected, name);
    const bytes = encodeFloats("BF16", expected);
    assert.deepEqual(await checkpoint.readRaw(name, 2, 6), bytes.slice(2, 8), name);
    const rowLength = expected.length / shape[0];
    assert.deepEqual(
      await checkpoint.readRows(name, 1, shape[0] - 1),
      expected.subarray(rowLength),
      name,
    );
  }
});

Deno.test("a view that exceeds or repeats its storage is rejected", async () => {
  const view = (offset: number, shape: number[], strides: number[]) =>
    writePth(tensors, { views: new Map([["v", { of: "emb.weight", offset, shape, strides }]]) });
  await assertRejected(view(1, [7, 5], [5, 1]), /tensor "v" ends at element 36 of a storage of 35/);
  await assertRejected(view(36, [0], [1]), /ends at element 36/);
  await assertRejected(view(0, [35, 2], [1, 0]), /repeats the elements.*contiguous/);
  await assertRejected(view(0, [2 ** 40, 2 ** 40], [0, 0]), /too large/);
  await assertRejected(view(0, [2], [2 ** 52]), /ends at element/);
  await assertRejected(view(0, [3, 4], [1, 1]), /repeats the elements/);
  await assertRejected(view(0, [2, 2, 2], [5, 3, 2]), /repeats the elements/);
  await assertRejected(view(0, Array(9).fill(1), Array(9).fill(1)), /invalid shape/);
});

Deno.test("a storage can be shared by a few tensors, but not by many", async () => {
  const data = Float32Array.from({ length: 10_000 }, (_, i) => i);
  const shared = (count: number) => {
    const names = Array.from({ length: count }, (_, i) => `tied.${i}`);
    const view = { of: "w", offset: 0, shape: [100, 100], strides: [100, 1] };
    return writePth(new Map([["w", { dtype: "F32", shape: [100, 100], data }]]), {
      views: new Map(names.map((name) => [name, view])),
    });
  };
  const checkpoint = await open(shared(2));
  assert.deepEqual(await checkpoint.read("tied.1"), data);
  await assertRejected(shared(400), /its 401 tensors take 16040000 bytes in a file of \d+/);
});

/** A huge source of zeros after a header, which counts the bytes read. */
class HugeSource implements ByteSource {
  readonly name = "huge";
  readonly reads: number[] = [];
  constructor(readonly parts: ReadonlyMap<number, Uint8Array>, readonly size: number) {}
  // deno-lint-ignore require-await
  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    this.reads.push(length);
    const bytes = new Uint8Array(length);
    for (const [start, part] of this.parts) {
      const from = Math.max(start, offset);
      const to = Math.min(start + part.length, offset + length);
      if (from < to) bytes.set(part.subarray(from - start, to - start), from - offset);
    }
    return bytes;
  }
  async close(): Promise<void> {}
}

Deno.test("only the requested rows are read, and large tensors are read in chunks", async () => {
  const shape = [65536, 32768]; // 8 GiB
  const header = new TextEncoder().encode(JSON.stringify({
    emb: { dtype: "F32", shape, data_offsets: [0, 2 ** 33] },
  }));
  const prefix = new Uint8Array(BigUint64Array.of(BigInt(header.length)).buffer);
  const head = Uint8Array.from([...prefix, ...header]);
  const row = encodeFloats("F32", ramp(32768));
  const start = head.length + 65535 * row.length;
  const source = new HugeSource(new Map([[0, head], [start, row]]), head.length + 2 ** 33);
  const checkpoint = await openCheckpoint(source);
  source.reads.length = 0;
  const rows = await checkpoint.readRows("emb", 65534, 2);
  assert.deepEqual(rows.subarray(32768), ramp(32768));
  assert.deepEqual(source.reads, [2 * row.length]);
  source.reads.length = 0;
  await checkpoint.readRows("emb", 0, 200);
  assert.deepEqual(source.reads, [2 ** 24, 200 * 131072 - 2 ** 24]);
});

Deno.test("a large transposed tensor is gathered block by block", async () => {
  const data = Float32Array.from({ length: 3001 * 1501 }, (_, i) => i % 8191);
  const bytes = writePth(new Map([["w", { dtype: "F32", shape: [3001, 1501], data }]]), {
    views: new Map([["t", { of: "w", offset: 0, shape: [1501, 3001], strides: [1, 1501] }]]),
  });
  const source = new HugeSource(new Map([[0, bytes]]), bytes.length);
  const checkpoint = await openCheckpoint(source);
  source.reads.length = 0;
  const values = await checkpoint.read("t");
  let wrong = 0;
  for (let i = 0; i < 1501; i++) {
    for (let j = 0; j < 3001; j++) if (values[i * 3001 + j] !== data[j * 1501 + i]) wrong++;
  }
  assert.equal(wrong, 0);
  assert(source.reads.length > 1 && Math.max(...source.reads) <= 2 ** 24);
});

Deno.test("NaN and infinities are rejected with their index", async () => {
  for (const dtype of ["F32", "F16", "BF16"] as const) {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const data = ramp(6).with(4, bad);
      const file = writePth(new Map([["w", { dtype, shape: [2, 3], data }]]));
      await assertRejected(file, new RegExp(`tensor "w" contains ${bad} at index 4: .*damaged`));
      await assert.rejects((await open(file)).readRows("w", 1, 1), /at index 4/);
      assert.equal((await (await open(file)).readRows("w", 0, 1)).length, 3);
    }
  }
});

Deno.test("every half float is widened exactly", async () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i)
    .filter((h) => (h & 0x7c00) !== 0x7c00);
  const data = Float32Array.from(new Float16Array(halves.buffer));
  const file = writePth(new Map([["w", { dtype: "F16", shape: [data.length], data }]]));
  const values = await (await open(file)).read("w");
  assert.deepEqual(new Uint8Array(values.buffer), new Uint8Array(data.buffer));
});

Deno.test("a pickle with any other global is rejected", async () => {
  const names = ["os system", "posix system", "builtins eval", "torch load", "torch FloatTensor"];
  for (const [module, name] of names.map((path) => path.split(" "))) {
    for (const protocol of [2, 4] as const) {
      const pickle = new PickleWriter(protocol).global(module, name)
        .text("touch /tmp/x").raw(0x85).op("R").op(".").bytes();
      await assertRejected(
        writePth(tensors, { pickle }),
        new RegExp(`"${module}\\.${name}".*could run code.*safetensors`),
      );
    }
  }
});

Deno.test("archives with inconsistent entries are rejected", async () => {
  const edited = (
    suffix: string,
    stated: NonNullable<Parameters<typeof writeZip>[0][0]["stated"]>,
  ) =>
    writePth(tensors, {
      edit: (entries) => entries.map((e) => e.name.endsWith(suffix) ? { ...e, stated } : e),
    });
  await assertRejected(edited("data/0", { size: 0xf0000000 }), /inconsistent sizes/);
  const both = { size: 0xf0000000, compressedSize: 0xf0000000 };
  await assertRejected(edited("data/0", both), /reaches past/);
  await assertRejected(edited("version", both), /reaches past/);
  await assertRejected(edited("data/0", { method: 8 }), /compressed/);
  await assertRejected(edited("data/1", { offset: 0 }), /reaches past|no zip entry/);
  await assertRejected(edited("data/1", { offset: 0xfffffff0 }), /reaches past/);
  await assertRejected(
    edited("data.pkl", { offset: 1 }),
    /no zip entry|reaches past|not a zip archive/,
  );
  await assertRejected(
    edited("data/0", { size: 4, compressedSize: 4 }),
    /of 35 elements in 4 bytes/,
  );
});

Deno.test("a local header that shifts data into the next entry is rejected", async () => {
  const file = writePth(tensors);
  const name = new TextEncoder().encode("archive/data/0");
  const at = file.findIndex((_, i) => name.every((byte, k) => file[i + k] === byte));
  const header = new DataView(file.buffer, at - 30, 30);
  header.setUint16(28, header.getUint16(28, true) + 2, true);
  await assertRejected(file, /no zip entry of 70 bytes/);
});

Deno.test("archives without the entries of a .pth are rejected", async () => {
  const without = (suffix: string) =>
    writePth(tensors, { edit: (all) => all.filter(({ name }) => !name.endsWith(suffix)) });
  await assertRejected(without("data.pkl"), /0 data\.pkl/);
  await assertRejected(without("data/2"), /tensor "ln_out\.bias" is in data\/2, which/);
  await assertRejected(writeZip([]), /0 data\.pkl|not a zip archive/);
  await assertRejected(writePth(tensors, { byteOrder: "big" }), /byte order is "big"/);
  const twice = writePth(tensors, { edit: (all) => [...all, { ...all[2] }] });
  await assertRejected(twice, /twice/);
  const other = { name: "other/data.pkl", data: new Uint8Array(3) };
  await assertRejected(writePth(tensors, { edit: (all) => [...all, other] }), /2 data\.pkl/);
  const empty = new PickleWriter().op("}").op(".").bytes();
  await assertRejected(writePth(tensors, { pickle: empty }), /no dict of tensors.*state_dict/);
});

Deno.test("a non-float dtype is listed but cannot be read", async () => {
  const pickle = new PickleWriter().op("}").op("(").text("steps")
    .global("torch._utils", "_rebuild_tensor_v2").op("(").op("(")
    .text("storage").global("torch", "LongStorage").text("0").text("cpu").int(2).op("t").op("Q")
    .int(0).ints([2]).ints([1]).op("t").op("R").op("u").op(".").bytes();
  const file = writePth(tensors, { pickle });
  const checkpoint = await open(file);
  assert.equal(checkpoint.tensors.get("steps")?.dtype, "I64");
  assert.equal((await checkpoint.readRaw("steps", 0, 16)).length, 16);
  await assertRejected(
    file,
    /tensor "steps" has the unsupported dtype I64: convert it to F32, F16 or BF16/,
  );
});

Deno.test("every truncation of a .pth is rejected", async () => {
  const file = writePth(tensors);
  for (let length = 0; length < file.length; length++) {
    assert.equal(await survives(file.subarray(0, length), `length ${length}`), "refused");
  }
});

Deno.test("flipped bytes of a .pth result in an InferenceError or a value", async () => {
  const random = testRandom(5);
  for (const protocol of [2, 4] as const) {
    const original = writePth(tensors, { protocol, ordered: true });
    for (let round = 0; round < 1500; round++) {
      const file = original.slice();
      for (let i = random(3); i >= 0; i--) file[random(file.length)] = random(256);
      await survives(file, `protocol ${protocol}, round ${round}`);
    }
  }
});
