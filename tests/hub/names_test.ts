import assert from "node:assert/strict";
import { defaultModel, modelStem, shardOf } from "../../src/hub/model_names.ts";
import {
  type HubFile,
  isModelFile,
  isSafePath,
  modelName,
  newestModelOfSize,
  parsePullTarget,
  SHORT_NAMES,
  vocabularyFiles,
} from "../../src/hub/names.ts";

const files = (...paths: string[]): HubFile[] =>
  paths.map((path) => ({ path, size: 1, hash: null }));

const WORLD = files(
  "README.md",
  "RWKV-5-World-0.1B-v1-20230803-ctx4096.pth",
  "RWKV-5-World-0.4B-v2-20231101-ctx4096.pth",
  "RWKV-5-World-0.4B-v2-20231113-ctx4096.pth",
  "RWKV-5-World-0.4B-v1-20240101-ctx4096.pth",
  "RWKV-5-World-0.4B-v2-20991231-ctx4096.pth.onnx",
  "old/RWKV-5-World-0.4B-v3-20231113-ctx4096.pth",
  "RWKV-5-World-1B5-v2-20231025-ctx4096.pth",
  "RWKV-5-World-3B-v2-20231113-ctx4096.pth",
  "RWKV-5-World-3B-v2-20231118-ctx16k.pth",
  "rwkv-5-world-7b-v2-20240128-ctx4096.pth",
);

Deno.test("a short name selects the newest file of its size", () => {
  const chosen = SHORT_NAMES.map((name) => newestModelOfSize(name, WORLD)?.path);
  assert.deepEqual(chosen, [
    "RWKV-5-World-0.1B-v1-20230803-ctx4096.pth",
    "RWKV-5-World-0.4B-v2-20231113-ctx4096.pth",
    "RWKV-5-World-1B5-v2-20231025-ctx4096.pth",
    "RWKV-5-World-3B-v2-20231118-ctx16k.pth",
    "rwkv-5-world-7b-v2-20240128-ctx4096.pth",
  ]);
  assert.equal(newestModelOfSize("0.4b", files("RWKV-5-World-10.4B-v2.pth", "x-0.4B-.pth")), null);
});

Deno.test("parsePullTarget accepts short names and repositories only", () => {
  assert.deepEqual(parsePullTarget("0.4B"), { repo: "BlinkDL/rwkv-5-world", short: "0.4b" });
  assert.deepEqual(parsePullTarget("a/b", "c.pth"), { repo: "a/b", file: "c.pth" });
  const wrong = ["0.5b", "a", "a/b/c", "../b", "a/..", "a/b?c", "a/b#c", "a b/c", "a\\b", "/b", ""];
  for (const name of [...wrong, "constructor", "toString"]) {
    assert.equal(parsePullTarget(name), null);
  }
  assert.equal(parsePullTarget("0.4b", "x.pth"), null);
});

Deno.test("isSafePath rejects paths with special meanings", () => {
  for (const path of ["a.pth", "sub/folder/RWKV-5 World+v2_x.pth"]) {
    assert.ok(isSafePath(path), path);
  }
  const hostile = [
    "",
    "/etc/passwd.pth",
    "../a.pth",
    "a/../../b.pth",
    "a//b.pth",
    "./a.pth",
    ".hidden.pth",
    "a/.ssh/b.pth",
    "a\\..\\b.pth",
    "C:a.pth",
    "a\0.pth",
    "a\n.pth",
    "\x1b[2Ja.pth",
    "a?.pth",
    "a#.pth",
    "a%2e.pth",
    "a:b.pth",
    "-rf.pth",
    "nul.pth",
    "a. /b.pth",
    "a\u202e.pth",
    `${"a".repeat(300)}.pth`,
  ];
  for (const path of hostile) assert.equal(isSafePath(path), false, JSON.stringify(path));
});

Deno.test("model files, vocabulary files and model names are recognized", () => {
  assert.ok(isModelFile("a/model.safetensors"));
  const models = ["pytorch_model.bin", "a.st", "a.pt", "x/model.safetensors.index.json"];
  for (const path of models) assert.ok(isModelFile(path), path);
  const others = [
    "model-00001-of-00002.safetensors",
    "x/pytorch_model-00002-of-00002.bin",
    "x/training_args.bin",
    "optimizer.pt",
    "rng_state_0.pth",
    "adapter_model.safetensors",
    "index.json",
    "a.pth.part",
    "a.PTH",
  ];
  for (const path of others) assert.equal(isModelFile(path), false, path);
  const found = vocabularyFiles(
    files("vocab.txt", "sub/vocab.txt", "rwkv_vocab_v20230424.txt", "vocab.json", "tokens.txt"),
  );
  assert.deepEqual(found.map(({ path }) => path), [
    "rwkv_vocab_v20230424.txt",
    "vocab.txt",
    "vocab.json",
  ]);
  assert.equal(modelName({ repo: "a/b", path: "x/World 0.4B.pth" }), "World-0.4B");
  for (const path of ["model.safetensors", "x/pytorch_model.bin", "model.st.index.json"]) {
    assert.equal(modelName({ repo: "a/b", path }), "b");
  }
});

Deno.test("defaultModel selects the preferred file name", () => {
  const cases: [string[], string | null][] = [
    [["a.pth", "config.json"], "a.pth"],
    [["a.pth", "b.pth"], null],
    [["a.pth", "model.st", "pytorch_model.bin"], "model.st"],
    [["model.st", "model.pth", "pytorch_model.bin"], null],
    [["a.bin", "b.bin", "pytorch_model.bin"], "pytorch_model.bin"],
    [["model.safetensors.index.json", "pytorch_model.bin"], "model.safetensors.index.json"],
    [["model-00001-of-00002.safetensors"], null],
    [["model-00001-of-00001.safetensors"], "model-00001-of-00001.safetensors"],
    [[], null],
  ];
  for (const [names, wanted] of cases) assert.equal(defaultModel(names), wanted, `${names}`);
  assert.deepEqual(shardOf("model-00002-of-00013.safetensors"), { part: 2, of: 13 });
  assert.equal(shardOf("model-00001-of-00001.bin"), null);
  assert.equal(modelStem("model.safetensors.index.json"), "model");
});
