/** Inputs of `--model` and `convert`: any file extension, folders, and shards with their index. */

import assert from "node:assert/strict";
import { findModel } from "../../src/model_files/find_model.ts";
import { openModelSource } from "../../src/model_files/open_model_file.ts";
import { encodeSafetensors } from "../../src/formats/safetensors.ts";
import { huggingFaceNames, tinyModel } from "../engine/tiny_model.ts";
import { type PthTensor, writePth } from "../formats/pth_fixture.ts";
import { type Files, shards } from "../suites/cli/shards_fixture.ts";
import { rwkv as rwkvAlone } from "../suites/cli/run_cli.ts";
import { rwkv } from "../suites/cli/shared_cli.ts";

const TENSORS = tinyModel({
  version: "5.2",
  layers: 2,
  heads: 2,
  headSize: 8,
  ffnWidth: 24,
  vocabulary: 257,
  dtype: "F32",
});

async function inFolder(files: Files, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      if (typeof content === "string") await Deno.writeTextFile(`${folder}/${name}`, content);
      else await Deno.writeFile(`${folder}/${name}`, content);
    }
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function openAt(path: string) {
  const files = await findModel({ model: path });
  const { model } = await openModelSource(files.source, undefined);
  await model.close();
  return { ...files, fingerprint: model.fingerprint, format: model.checkpoint.format };
}

const SAFETENSORS = encodeSafetensors(TENSORS);
const PTH = writePth(TENSORS);
const PORT = huggingFaceNames(TENSORS);

let plain = "";

Deno.test.beforeAll(async () => {
  await inFolder({ "m.pth": PTH }, async (folder) => {
    ({ fingerprint: plain } = await openAt(`${folder}/m.pth`));
  });
});

Deno.test("the format of a file is detected from its content, not its extension", async () => {
  for (const ending of ["pth", "pt", "ckpt", "bin", "safetensors", "st", "model", "json"]) {
    for (const [format, bytes] of [["pth", PTH], ["safetensors", SAFETENSORS]] as const) {
      await inFolder({ [`World 0.1.${ending}`]: bytes }, async (folder) => {
        const opened = await openAt(`${folder}/World 0.1.${ending}`);
        assert.deepEqual([opened.fingerprint, opened.format], [plain, format], ending);
        const known = ending !== "model" && ending !== "json";
        assert.equal(opened.id, known ? "World 0.1" : `World 0.1.${ending}`);
      });
    }
  }
});

Deno.test("a folder resolves to its only model or to the one with the usual name", async () => {
  const cases: [Files, string][] = [
    [{ "pytorch_model.bin": writePth(PORT), "config.json": "{}" }, "pytorch_model.bin"],
    [{ "RWKV-5-World.st": SAFETENSORS, "rwkv_vocab.json": "{}" }, "RWKV-5-World.st"],
    [{ "model.st": SAFETENSORS, "other.pth": "" }, "model.st"],
    [{ "model.safetensors": SAFETENSORS, "pytorch_model.bin": "" }, "model.safetensors"],
    [{ "pytorch_model.bin": PTH, "a.bin": "", "b.bin": "" }, "pytorch_model.bin"],
    [{
      "pytorch_model.bin": PTH,
      "training_args.bin": "",
      "optimizer.pt": "",
      "scheduler.pt": "",
      "rng_state.pth": "",
    }, "pytorch_model.bin"],
    [shards(2, "model.safetensors", TENSORS), "model.safetensors.index.json"],
    [shards(3, "pytorch_model.bin", PORT), "pytorch_model.bin.index.json"],
    [{
      ...shards(2, "model.safetensors", PORT),
      ...shards(2, "pytorch_model.bin", PORT),
    }, "model.safetensors.index.json"],
    [{ "model-00001-of-00001.safetensors": SAFETENSORS }, "model-00001-of-00001.safetensors"],
  ];
  for (const [files, expected] of cases) {
    await inFolder(files, async (folder) => {
      const { source, fingerprint } = await openAt(folder);
      assert.deepEqual(source.from, { file: `${folder}/${expected}` });
      assert.equal(fingerprint, plain);
    });
  }
});

Deno.test("a folder without exactly one model is rejected with its contents", async () => {
  const cases: [Files, RegExp][] = [
    [
      { "notes.txt": "" },
      /it contains no model \(a \.pth, \.safetensors, .* file\); name a folder/,
    ],
    [{ "a.pth": "", "b.st": "" }, /it contains several models \(a\.pth, b\.st\); name one of them/],
    [{ "model.pth": "", "model.bin": "" }, /several models \(model\.bin, model\.pth\)/],
    [
      { "model-00001-of-00002.safetensors": "", "model-00002-of-00002.safetensors": "" },
      /shards of a model \(model-00001-of-00002\.safetensors\) without .*download the index/,
    ],
  ];
  for (const [files, message] of cases) {
    await inFolder(files, async (folder) => {
      await assert.rejects(openAt(folder), { code: "file_error", message });
    });
  }
});

Deno.test("shards are joined by their index, in both formats and any number", async () => {
  for (const base of ["model.safetensors", "pytorch_model.bin"]) {
    for (const count of [1, 2, 5, 13]) {
      await inFolder(shards(count, base, PORT), async (folder) => {
        const opened = await openAt(`${folder}/${base}.index.json`);
        assert.deepEqual([opened.fingerprint, opened.id], [plain, base.split(".")[0]]);
      });
    }
  }
});

Deno.test("missing, damaged and foreign shards are named", async () => {
  const files = shards(3, "model.safetensors", TENSORS);
  const second = "model-00002-of-00003.safetensors";
  const index = "model.safetensors.index.json";
  const { [second]: bytes, ...incomplete } = files;
  const map = JSON.parse(files[index] as string).weight_map;
  const indexed = (changes: Record<string, string>) => ({
    ...files,
    [index]: JSON.stringify({ weight_map: { ...map, ...changes } }),
  });
  const cases: [Files, RegExp][] = [
    [
      incomplete,
      /00002-of-00003\.safetensors: it is missing, and .*index\.json lists it as a shard/,
    ],
    [
      { ...files, [second]: (bytes as Uint8Array<ArrayBuffer>).slice(0, -4) },
      /00002-of-00003\.safetensors: its tensors end at byte \d+ of \d+: .*incomplete or damaged/,
    ],
    [
      { ...files, [second]: files["model-00001-of-00003.safetensors"] },
      /index\.json: it names tensor "\S+" in model-00002-of-00003\.safetensors, which does not/,
    ],
    [
      indexed({ "more.weight": second }),
      /it names tensor "more\.weight" in model-00002-of-00003\.safetensors, which does not contain it/,
    ],
    [
      {
        ...files,
        "copy.safetensors": files[second],
        [index]: JSON.stringify({ weight_map: { ...map, "emb.weight": "copy.safetensors" } }),
      },
      /names tensor "emb\.weight" in copy\.safetensors, which does not contain it/,
    ],
    [
      {
        "a.st": SAFETENSORS,
        "b.st": SAFETENSORS,
        [index]: '{"weight_map": {"emb.weight": "a.st", "head.weight": "b.st"}}',
      },
      /tensor "emb\.weight" is in \S+a\.st and in \S+b\.st: use shards of the same version/,
    ],
    [{ [index]: "{" }, /"weight_map" is missing or malformed/],
    [{ [index]: '{"weight_map": {"a": 3}}' }, /"weight_map" is missing or malformed/],
    [{ [index]: '{"weight_map": {}}' }, /it names 0 shards instead of 1 to 1000/],
  ];
  for (const [content, message] of cases) {
    await inFolder(content, async (folder) => {
      await assert.rejects(openAt(`${folder}/${index}`), message);
    });
  }
  for (const outside of ["../a.st", "/etc/passwd", "a/b.st", "..", ".", "", "a\\b.st"]) {
    const content = { [index]: JSON.stringify({ weight_map: { a: outside } }) };
    await inFolder(content, async (folder) => {
      await assert.rejects(openAt(`${folder}/${index}`), /which is not a file in its folder/);
    });
  }
  await inFolder(files, async (folder) => {
    await assert.rejects(
      openAt(`${folder}/${second}`),
      /it is shard 2 of 3 of a model; name the index, model\.safetensors\.index\.json/,
    );
    await Deno.remove(`${folder}/${index}`);
    await assert.rejects(openAt(`${folder}/${second}`), /download all shards and their index/);
  });
});

Deno.test("a vocabulary beside the model is found in every format, text before JSON", async () => {
  const cases: [string[], string | null][] = [
    [["vocab.json", "vocab.txt"], "vocab.txt"],
    [["rwkv_vocab_v20230424.json"], "rwkv_vocab_v20230424.json"],
    [["tokenizer.json", "config.json"], null],
  ];
  for (const [names, expected] of cases) {
    const files = Object.fromEntries(names.map((name) => [name, "{}"]));
    await inFolder({ "model.st": SAFETENSORS, ...files }, async (folder) => {
      assert.equal((await openAt(folder)).vocabulary, expected && `${folder}/${expected}`);
    });
  }
});

Deno.test("info and convert accept a folder of shards and report unused tensors", async () => {
  const some: PthTensor = { dtype: "F32", shape: [2], data: new Float32Array(2) };
  const tensors = new Map([...TENSORS, ["blocks.0.att.extra", some], ["step", some]] as const);
  const files = shards(2, "pytorch_model.bin", tensors);
  await inFolder(files, async (folder) => {
    const info = await rwkv(["info", "--model", folder, "--device", "cpu", "--json"]);
    assert.equal(info.code, 0, info.stderr);
    const report = JSON.parse(info.stdout);
    assert.deepEqual(report.unread.sort(), ["blocks.0.att.extra", "step"]);
    assert.equal(report.tensors, tensors.size);
    const weights = [...TENSORS.values()].reduce((sum, { data }) => sum + data.length, 0);
    assert.equal(report.parameters, weights);
    const sizes = Object.values(files).map((content) => content.length);
    assert.equal(report.bytes, sizes.reduce((sum, size) => sum + size));
    const text = await rwkv(["info", "--model", folder, "--device", "cpu"]);
    assert.match(text.stdout, /^unread +(blocks\.0\.att\.extra, step|step, blocks\S+)$/m);

    const warning = /^Ignoring 2 tensors of \S+ that RWKV-5 does not use: .*lists them$/m;
    const runs: [string[], string][] = [
      [["logits", "--tokens", "5,6"], ""],
      [["generate", "--vocab", "bytes", "--max-tokens", "1", "--prompt", "a"], ""],
      [["chat", "--vocab", "bytes", "--max-tokens", "1", "--kv", ":memory:"], "a\n"],
    ];
    for (const [args, stdin] of runs) {
      const ran = await rwkvAlone([...args, "--model", folder, "--device", "cpu"], stdin);
      assert.equal(ran.code, 0, `${args}: ${ran.stderr}`);
      assert.match(ran.stderr, warning, `${args}`);
    }

    const target = `${folder}/int8.safetensors`;
    const run = await rwkv(["convert", folder, target]);
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stderr, warning);
    assert.equal((await openAt(target)).fingerprint, report.fingerprint);
    // A source file is never overwritten.
    const shard = `${folder}/model-00001-of-00002.safetensors`;
    await Deno.rename(`${folder}/pytorch_model-00001-of-00002.bin`, shard);
    const index = `${folder}/pytorch_model.bin.index.json`;
    const moved = (await Deno.readTextFile(index))
      .replaceAll("pytorch_model-00001-of-00002.bin", "model-00001-of-00002.safetensors");
    await Deno.writeTextFile(index, moved);
    const over = await rwkv(["convert", index, shard]);
    assert.equal(over.code, 1);
    assert.match(over.stderr, /it is the model to convert/);
  });
});
