import assert from "node:assert/strict";
import { MemorySource } from "../../src/formats/byte_source.ts";
import { openModel } from "../../src/model/load.ts";
import { publishedName, publishedNames } from "../../src/model/names.ts";
import { huggingFaceNames, tinyModel, type TinySizes } from "../engine/tiny_model.ts";
import { type PthTensor, writePth } from "../formats/pth_fixture.ts";

const SIZES: TinySizes = {
  version: "5.2",
  layers: 2,
  heads: 3,
  headSize: 8,
  ffnWidth: 50,
  vocabulary: 31,
  dtype: "F32",
};

type Tensors = ReadonlyMap<string, PthTensor>;

const open = (tensors: Tensors) => openModel(new MemorySource("tiny.pth", writePth(tensors)));

const renamed = (tensors: Tensors, rename: (name: string) => string) =>
  new Map([...tensors].map(([name, tensor]) => [rename(name), tensor]));

const some: PthTensor = { dtype: "F32", shape: [2], data: new Float32Array(2) };

Deno.test("names of Hugging Face's port map to the published ones", () => {
  const tensors = tinyModel(SIZES);
  const names = [...huggingFaceNames(tensors).keys()];
  assert.ok(names.includes("rwkv.blocks.0.pre_ln.weight"));
  assert.ok(names.includes("rwkv.blocks.1.feed_forward.time_mix_receptance"));
  assert.deepEqual(names.map(publishedName), [...tensors.keys()]);
});

Deno.test("a common prefix is removed without changing the model", async () => {
  const plain = tinyModel(SIZES);
  const { fingerprint } = await open(plain);
  const prefixes = [
    "_orig_mod.",
    "module.",
    "_forward_module.",
    "base_model.model.",
    "model.",
    "rwkv.",
    "_forward_module._orig_mod.",
    "module._orig_mod.model.",
    "_orig_mod.module.module.",
    "student.net.",
  ];
  for (const prefix of prefixes) {
    for (const names of [plain, huggingFaceNames(plain)]) {
      const { fingerprint: found, unusedTensors: unread } = await open(
        renamed(names, (name) => prefix + name),
      );
      assert.deepEqual([found, unread], [fingerprint, []], prefix);
    }
  }
  const inside = renamed(plain, (name) => name.replace(/^blocks\.\d+\./, "$&_orig_mod."));
  assert.equal((await open(inside)).fingerprint, fingerprint);
  const nested = renamed(
    plain,
    (name) => `_fsdp_wrapped_module.${name.replace(/^blocks\.\d+\./, "$&_fsdp_wrapped_module.")}`,
  );
  assert.equal((await open(nested)).fingerprint, fingerprint);
});

Deno.test("names outside the prefix are not part of the model", () => {
  const names = publishedNames(
    ["model.emb.weight", "model.blocks.0.ln1.weight", "model.head.weight", "loss.head.weight"],
    "f",
  );
  assert.deepEqual([...names], [
    ["emb.weight", "model.emb.weight"],
    ["blocks.0.ln1.weight", "model.blocks.0.ln1.weight"],
    ["head.weight", "model.head.weight"],
    ["loss.head.weight", "loss.head.weight"],
  ]);
});

Deno.test("several models and duplicate tensors are rejected with their names", async () => {
  const plain = tinyModel(SIZES);
  const ema = new Map([
    ...renamed(plain, (name) => `model.${name}`),
    ...renamed(plain, (name) => `model_ema.${name}`),
  ]);
  await assert.rejects(
    open(ema),
    /tiny\.pth: it contains 2 models, .* "model\." and "model_ema\.": save one .*startswith\("model\."\)/,
  );
  const beside = new Map([...plain, ...renamed(plain, (name) => `ema.${name}`)]);
  await assert.rejects(open(beside), /2 models, .* "" and "ema\.": .*startswith\("ema\."\)/);
  const both = new Map([...plain, ["rwkv.blocks.0.attention.key.weight", some] as const]);
  await assert.rejects(
    open(both),
    /"blocks\.0\.att\.key\.weight" and "rwkv\.blocks\.0\.attention\.key\.weight" both map to/,
  );
});

Deno.test("unused tensors are listed and have no effect", async () => {
  const plain = tinyModel(SIZES);
  const { dimensions, unusedTensors: unread } = await open(plain);
  assert.deepEqual(unread, []);
  const extra = new Map([...plain, ["blocks.1.att.rotary", some], ["step", some]] as const);
  // The bias of another head is not part of the model.
  const rewarded = new Map([
    ...renamed(plain, (name) => `model.${name}`),
    ...["reward.head.weight", "reward.head.bias"].map((name) => [name, some] as const),
  ]);
  assert.deepEqual((await open(rewarded)).unusedTensors, [
    "reward.head.weight",
    "reward.head.bias",
  ]);
  const model = await open(extra);
  assert.deepEqual(model.dimensions, dimensions);
  assert.deepEqual(model.unusedTensors, ["blocks.1.att.rotary", "step"]);
  const prefixed = await open(renamed(extra, (name) => `module.${name}`));
  assert.deepEqual(prefixed.unusedTensors, ["module.blocks.1.att.rotary", "module.step"]);
});

Deno.test("adapter tensors are rejected with their name and a remedy", async () => {
  const lora = /that is not merged into the model: merge it .*merge_and_unload\(\)/;
  const cases: [string, RegExp][] = [
    ["blocks.0.att.key.lora_A", lora],
    ["blocks.0.att.key.lora_B", lora],
    ["blocks.0.att.key.lora_A.default.weight", lora],
    ["blocks.0.ffn.value.lora_magnitude_vector.default.weight", lora],
    ["blocks.0.att.key.lora.0", lora],
    ["emb.lora_embedding_A", lora],
    ["blocks.0.att.key.base_layer.weight", lora],
    ["head.modules_to_save.default.weight", lora],
    ["blocks.0.att.receptance.bone", lora],
    ["blocks.0.att.receptance.disha", lora],
    ["blocks.0.att.time_state", /tuned initial state.*use the base model's file/],
    ["blocks.1.ffn.key.bias", /a bias of a matrix/],
    ["head.bias", /a bias of a matrix/],
  ];
  const plain = tinyModel(SIZES);
  for (const [name, message] of cases) {
    for (const prefix of ["", "base_model.model."]) {
      const tensors = renamed(new Map([...plain, [name, some]]), (name) => prefix + name);
      await assert.rejects(open(tensors), (error: Error) => {
        assert.match(error.message, message);
        assert.ok(
          error.message.startsWith(`Cannot load tiny.pth: its tensor "${prefix}${name}" is`),
        );
        assert.doesNotMatch(error.message, /damaged/);
        return true;
      }, name);
    }
    await assert.rejects(open(new Map([[name, some]])), message);
  }
  const pairs = [..."AB"].map((m) => [`blocks.0.att.key.lora_${m}`, some] as const);
  await assert.rejects(open(new Map([...plain, ...pairs])), /\(and 1 more like it\)/);
});

Deno.test("a file converted by Python's rwkv package is rejected with a remedy", async () => {
  const pth = writePth(tinyModel(SIZES), { scalars: { _strategy: "cuda fp16i8", _version: 0.7 } });
  await assert.rejects(
    openModel(new MemorySource("tiny.pth", pth)),
    /^InferenceError: tiny\.pth: it was converted .* strategy "cuda fp16i8", .*the original \.pth/,
  );
});
