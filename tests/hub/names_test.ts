import assert from "node:assert/strict";
import {
  type HubFile,
  isModelFile,
  isSafePath,
  modelName,
  newestOfSize,
  pullTarget,
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

Deno.test("a short name is the newest file of its size", () => {
  const chosen = SHORT_NAMES.map((name) => newestOfSize(name, WORLD)?.path);
  assert.deepEqual(chosen, [
    "RWKV-5-World-0.1B-v1-20230803-ctx4096.pth",
    "RWKV-5-World-0.4B-v2-20231113-ctx4096.pth",
    "RWKV-5-World-1B5-v2-20231025-ctx4096.pth",
    "RWKV-5-World-3B-v2-20231118-ctx16k.pth",
    "rwkv-5-world-7b-v2-20240128-ctx4096.pth",
  ]);
  assert.equal(newestOfSize("0.4b", files("RWKV-5-World-10.4B-v2.pth", "x-0.4B-.pth")), null);
});

Deno.test("what may be asked for", () => {
  assert.deepEqual(pullTarget("0.4B"), { repo: "BlinkDL/rwkv-5-world", short: "0.4b" });
  assert.deepEqual(pullTarget("a/b", "c.pth"), { repo: "a/b", file: "c.pth" });
  const wrong = ["0.5b", "a", "a/b/c", "../b", "a/..", "a/b?c", "a/b#c", "a b/c", "a\\b", "/b", ""];
  for (const name of [...wrong, "constructor", "toString"]) assert.equal(pullTarget(name), null);
  assert.equal(pullTarget("0.4b", "x.pth"), null);
});

Deno.test("a name that could be more than a file's is none", () => {
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

Deno.test("models, vocabularies, and what a model is called", () => {
  assert.ok(isModelFile("a/model.safetensors"));
  for (const path of ["model-00001-of-00002.safetensors", "a.bin", "a.pth.part", "a.PTH"]) {
    assert.equal(isModelFile(path), false, path);
  }
  const found = vocabularyFiles(
    files("vocab.txt", "sub/vocab.txt", "rwkv_vocab_v20230424.txt", "vocab.json", "tokens.txt"),
  );
  assert.deepEqual(found.map(({ path }) => path), ["rwkv_vocab_v20230424.txt", "vocab.txt"]);
  assert.equal(modelName({ repo: "a/b", path: "x/World 0.4B.pth" }), "World-0.4B");
  assert.equal(modelName({ repo: "a/b", path: "model.safetensors" }), "b");
});
