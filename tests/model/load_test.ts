import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { MemorySource } from "../../src/formats/byte_source.ts";
import { stateLength } from "../../src/model/architectures/registry.ts";
import { configGroupNormEps, openModel } from "../../src/model/load.ts";
import { tinyModel } from "../engine/tiny_model.ts";
import { type PthTensor, writePth } from "../formats/pth_fixture.ts";

const SIZES = {
  version: "5.2",
  layers: 2,
  heads: 3,
  headSize: 8,
  ffnWidth: 50,
  vocabulary: 31,
  dtype: "F32",
} as const;

const open = (tensors: ReadonlyMap<string, PthTensor>) =>
  openModel(new MemorySource("tiny.pth", writePth(tensors)));

Deno.test("sizes and version are derived from the tensors", async () => {
  const { dimensions, fingerprint, vectors, matrix } = await open(tinyModel(SIZES));
  assert.deepEqual(dimensions, {
    version: "5.2",
    layers: 2,
    width: 24,
    heads: 3,
    headSize: 8,
    ffnWidth: 50,
    vocabulary: 31,
    groupNormEps: 64e-5,
  });
  assert.equal(stateLength(dimensions), 2 * 24 * 10);
  assert.match(fingerprint, /^rwkv5\.2-[0-9a-f]{24}$/);
  assert.equal(vectors.get("blocks.1.att.time_mix")!.length, 4 * 24);
  const head = matrix("head.weight");
  assert.deepEqual([head.rows, head.columns], [31, 24]);
  assert.equal((await head.readRows(30, 1)).length, 24);
});

Deno.test("decays are exponentiated twice, and broadcast if they are per head", async () => {
  for (const version of ["5.0", "5.1", "5.2"] as const) {
    const tensors = tinyModel({ ...SIZES, version });
    const stored = tensors.get("blocks.0.att.time_decay")!.data;
    const { vectors } = await open(tensors);
    const decay = vectors.get("blocks.0.att.decay")!;
    const at = version === "5.2" ? 17 : 2; // channel 17 is head 2's second
    assert.equal(decay[17], Math.fround(Math.exp(-Math.exp(stored[at]))));
  }
});

Deno.test("missing tensors and wrong shapes are reported by name", async () => {
  for (const name of tinyModel(SIZES).keys()) {
    const missing = tinyModel(SIZES);
    missing.delete(name);
    await assert.rejects(open(missing), (error: Error) => {
      return error instanceof InferenceError && error.message.includes("tiny.pth");
    }, `without ${name}`);
    const wrong = tinyModel(SIZES);
    const { shape, data, dtype } = wrong.get(name)!;
    wrong.set(name, { dtype, shape: [data.length + 1], data: new Float32Array(data.length + 1) });
    await assert.rejects(open(wrong), (error: Error) => {
      return error instanceof InferenceError && error.message.includes("tiny.pth");
    }, `${name} of [${shape}]`);
  }
});

Deno.test("other versions and head sizes are rejected", async () => {
  const six = tinyModel(SIZES);
  six.set("blocks.0.att.time_maa_x", { dtype: "F32", shape: [1], data: new Float32Array(1) });
  await assert.rejects(open(six), /RWKV-6 or RWKV-7/);
  const four = tinyModel(SIZES);
  four.delete("blocks.0.att.ln_x.weight");
  await assert.rejects(open(four), /RWKV-4/);
  await assert.rejects(
    open(tinyModel({ ...SIZES, headSize: 6 })),
    /head size is 6.*multiples of 4/,
  );
});

Deno.test("config.json sets the group norm epsilon", () => {
  assert.equal(configGroupNormEps('{"head_size_divisor": 8}', "config.json"), 64e-5);
  assert.equal(configGroupNormEps('{"head_size_divisor": 1}', "config.json"), 1e-5);
  assert.equal(configGroupNormEps("{}", "config.json"), undefined);
  for (const text of ["", "[", "3", '{"head_size_divisor": "8"}', '{"head_size_divisor": 0}']) {
    assert.throws(
      () => configGroupNormEps(text, "m/config.json"),
      (error: Error) => error instanceof InferenceError && error.message.includes("m/config.json"),
      text,
    );
  }
});
