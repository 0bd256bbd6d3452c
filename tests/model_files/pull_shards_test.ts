/**
 * `pull` of the formats that Hugging Face libraries save: shards with an index, and `.bin` files.
 */

import assert from "node:assert/strict";
import { huggingFaceNames, tinyModel } from "../engine/tiny_model.ts";
import { writePth } from "../formats/pth_fixture.ts";
import { filesBelow, withHub } from "./pull_fixtures.ts";
import { type Files, shards } from "../suites/cli/shards_fixture.ts";

const SIZES = {
  version: "5.2",
  layers: 2,
  heads: 2,
  headSize: 8,
  ffnWidth: 24,
  vocabulary: 257,
  dtype: "F32",
} as const;

const MODEL = huggingFaceNames(tinyModel(SIZES));

/** The format in Hugging Face's RWKV-5 repositories. */
const VOCABULARY = [
  "b'<s>'",
  ...Array.from({ length: 256 }, (_, byte) => `b'\\x${byte.toString(16).padStart(2, "0")}'`),
].join("\n");

/** Encodes all files as bytes. */
function repository(files: Files): Record<string, Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  return Object.fromEntries(
    Object.entries(files).map(([name, content]) => [
      name,
      typeof content === "string" ? encoder.encode(content) : content,
    ]),
  );
}

for (const base of ["model.safetensors", "pytorch_model.bin"]) {
  Deno.test(`a sharded model is pulled by its index, ${base}.index.json`, async () => {
    await withHub(async ({ hub, home, run }) => {
      const files = shards(3, base, MODEL);
      hub.add("a/sharded", repository({ ...files, "vocab.txt": VOCABULARY, "config.json": "{}" }));
      const pulled = await run("pull", "a/sharded", "--json", "--quant", "int8");
      assert.equal(pulled.code, 0, pulled.stderr);
      assert.match(pulled.stderr, /^Downloading \S+-00002-of-00003\.\w+ \(.*\) of a\/sharded$/m);
      const folder = `${home}/models/sharded`;
      const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
      const expected = [...Object.keys(files), "config.json", "pulled.json", "vocab.txt"];
      assert.deepEqual(names, expected.sort());
      for (const model of ["sharded", "a/sharded", "sharded-int8"]) {
        const logits = await run("logits", "--model", model, "--tokens", "5,6", "--device", "cpu");
        assert.equal(logits.code, 0, logits.stderr);
      }
      const before = hub.requests.length;
      const again = await run("pull", "a/sharded");
      assert.match(again.stderr, /^sharded already exists/m);
      assert.deepEqual(hub.requests.slice(before).filter(({ origin }) => origin === "cdn"), []);
    });
  });
}

Deno.test("changed shards are downloaded again, and those of another split are removed", async () => {
  await withHub(async ({ hub, home, run }) => {
    const info = async () => {
      const { stdout, stderr } = await run("info", "--model", "sharded", "--json");
      assert.notEqual(stdout, "", stderr);
      return JSON.parse(stdout).fingerprint;
    };
    const pull = async () => {
      const { code, stderr } = await run("pull", "a/sharded");
      assert.equal(code, 0, stderr);
      return stderr;
    };
    const add = (count: number, seed: number) => {
      hub.repos.delete("a/sharded");
      const tensors = huggingFaceNames(tinyModel(SIZES, seed));
      hub.add("a/sharded", repository(shards(count, "model.safetensors", tensors)));
    };
    add(3, 1);
    await pull();
    const first = await info();
    // The index does not change.
    add(3, 2);
    assert.match(await pull(), /^Downloading model-00001-of-00003/m);
    const second = await info();
    assert.notEqual(second, first);
    add(2, 2);
    await pull();
    assert.equal(await info(), second);
    const names = [...await filesBelow(`${home}/models/sharded`)].map(([path]) => path);
    assert.deepEqual(names.filter((path) => path.includes("-of-00003")), []);
    // A model without one of its shards is incomplete, and another pull repairs it.
    await Deno.remove(`${home}/models/sharded/model-00002-of-00002.safetensors`);
    assert.match((await run("info", "--model", "sharded")).stderr, /its download is incomplete/);
    assert.match(await pull(), /^Downloading model-00002-of-00002/m);
    assert.equal(await info(), second);
  });
});

Deno.test("a repository without a shard or an index is rejected with its name", async () => {
  await withHub(async ({ hub, home, run }) => {
    const { "model-00002-of-00003.safetensors": _, ...files } = shards(
      3,
      "model.safetensors",
      MODEL,
    );
    hub.add("a/lost", repository(files));
    const lost = await run("pull", "a/lost");
    assert.equal(lost.code, 1);
    assert.match(
      lost.stderr,
      /index\.json of a\/lost: it names the shard "model-00002-of-00003\.safetensors", which/,
    );
    hub.add("a/evil", repository({ "model.st.index.json": '{"weight_map": {"a": "../b.st"}}' }));
    assert.match(
      (await run("pull", "a/evil")).stderr,
      /"\.\.\/b\.st", which is not a file in its folder/,
    );
    const { "model.safetensors.index.json": __, ...parts } = files;
    hub.add("a/parts", repository(parts));
    assert.match((await run("pull", "a/parts")).stderr, /no complete model, only shards/);
    const part = await run("pull", "a/parts", "model-00001-of-00003.safetensors");
    assert.match(part.stderr, /00001-of-00003\.safetensors: it is a single shard of a model/);
    const listed = await run("models", "--json");
    assert.ok(JSON.parse(listed.stdout).every(({ complete }: { complete: boolean }) => !complete));
    assert.deepEqual([...await filesBelow(home)].filter(([path]) => path.includes("b.st")), []);
  });
});

Deno.test("the usual model in a repository's root is selected", async () => {
  await withHub(async ({ hub, run }) => {
    const bin = writePth(MODEL);
    const otherFiles = {
      "training_args.bin": bin,
      "optimizer.pt": bin,
      "vocab.json": '{"1": "a"}',
    };
    hub.add("a/bin", { "pytorch_model.bin": bin, "x.bin": bin, ...repository(otherFiles) });
    const pulled = await run("pull", "a/bin");
    assert.equal(pulled.code, 0, pulled.stderr);
    assert.match(pulled.stderr, /^Selected pytorch_model\.bin of 2 models in a\/bin$/m);
    const { stdout, stderr } = await run("info", "--model", "bin", "--json");
    assert.notEqual(stdout, "", stderr);
    const info = JSON.parse(stdout);
    assert.match(info.file, /\/bin\/pytorch_model\.bin$/);
    assert.match(info.vocabulary_file, /vocab\.txt$/);
  });
});
