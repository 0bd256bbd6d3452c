import assert from "node:assert/strict";
import { openFile } from "../../../src/model_files/file_source.ts";
import { nearest } from "../../../src/core/nearest.ts";
import { openCheckpoint } from "../../../src/formats/checkpoint.ts";
import { assertClose } from "../../support/close.ts";
import { GOLDEN, readGolden } from "../../support/golden_data.ts";
import { tinyModel } from "../../engine/tiny_model.ts";
import { writePth } from "../../formats/pth_fixture.ts";
import { QUICK } from "../../support/quick.ts";
import { rwkv as rwkvProcess } from "./run_cli.ts";
import { rwkv } from "./shared_cli.ts";

const MODEL = `${GOLDEN}rwkv5-f32-n32/model.pth`;

function flat(stdout: string): Float32Array {
  const { logits }: { logits: number[][] } = JSON.parse(stdout);
  return Float32Array.from(logits.flat());
}

for (const device of ["webgpu", "cpu"]) {
  Deno.test(`logits in two calls with a state file match the golden data on ${device}`, async () => {
    const folder = await Deno.makeTempDir();
    const { tokens, logits, state } = await readGolden("rwkv5-f32-n32");
    const common = ["--model", MODEL, "--quant", "none", "--device", device, "--all", "--json"];
    const file = `${folder}/state.safetensors`;
    const first = await rwkv(
      ["logits", "--tokens", tokens.slice(0, 23).join(), "--state-out", file, ...common],
    );
    assert.equal(first.code, 0, first.stderr);
    const second = await rwkv(
      ["logits", "--tokens", tokens.slice(23).join(), "--state-in", file, "--state-out", file]
        .concat(common),
    );
    assert.equal(second.code, 0, second.stderr);
    const got = new Float32Array([...flat(first.stdout), ...flat(second.stdout)]);
    assertClose(got, logits, { atol: 2e-4 });
    assert.equal(JSON.parse(first.stdout).device, device);
    const left = await openCheckpoint(await openFile(file));
    assertClose(await left.read("state"), state, { atol: 1e-3 });
    await left.close();
    await Deno.remove(folder, { recursive: true });
  });
}

Deno.test("tokenize converts text to ids and back", async () => {
  const text = "Hi, señor 🙂\n";
  const { stdout } = await rwkvProcess(["tokenize", "--vocab", "bytes", "--json"], text);
  assert.deepEqual(JSON.parse(stdout), [...new TextEncoder().encode(text)]);
  const back = await rwkvProcess(["tokenize", "--vocab", "bytes", "--decode"], stdout);
  assert.equal(back.stdout, text);
});

Deno.test("info and generate print one JSON document", async () => {
  const info = await rwkv(["info", "--model", MODEL, "--json"]);
  const report = JSON.parse(info.stdout);
  assert.deepEqual(
    [report.version, report.layers, report.width, report.heads, report.state_bytes],
    ["5.2", 2, 96, 3, 6528 * 4],
  );
  const args = ["--model", MODEL, "--vocab", "bytes", "--device", "cpu", "--seed", "3", "--json"];
  const run = () => rwkv(["generate", "--prompt", "abc", "--max-tokens", "9", ...args]);
  const [one, two] = [await run(), await run()];
  assert.equal(one.code, 0, one.stderr);
  assert.equal(JSON.parse(one.stdout).tokens.length, 9);
  assert.equal(two.stdout, one.stdout);
});

Deno.test("chat prints the state id that resumes the conversation", async () => {
  const folder = await Deno.makeTempDir();
  const args = ["chat", "--kv", `${folder}/states`, "--device", "cpu", "--temperature", "0"];
  const first = await rwkvProcess(args, "Hi, I am Zorvin.\n/quit\n");
  assert.equal(first.code, 0, first.stderr);
  const id = first.stderr.match(/--state (state_[0-9a-f]{48}) --kv/)?.[1];
  assert.ok(id, first.stderr);
  const second = await rwkvProcess([...args, "--state", id], "What is my name?\n");
  assert.match(second.stdout, /^.*Zorvin.*\n$/);
  const elsewhere = [...args, "--state", id, "--model", MODEL, "--vocab", "bytes"];
  const other = await rwkvProcess(elsewhere, "Hi\n");
  assert.equal(other.code, 1);
  assert.match(other.stderr, /belongs to model "demo"/);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("eval scores a text and measures quantization loss", async () => {
  const file = await Deno.makeTempFile();
  const dialogue = [["My name is Ada.", "Nice to meet you, Ada!"], [
    "What is 2 + 3?",
    "2 plus 3 is 5.",
  ]];
  const text = dialogue.map(([user, reply]) => `User: ${user}\n\nAssistant: ${reply}\n\n`).join("");
  await Deno.writeTextFile(file, text.repeat(3));
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await rwkv(["eval", "--file", file, "--json", ...args]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  const plain = await run("--quant", "none");
  assert.deepEqual(Object.keys(plain), ["tokens", "nll", "perplexity"]);
  assert.ok(Math.abs(plain.perplexity - Math.exp(plain.nll)) < 1e-9);
  const same = await run("--quant", "none", "--against", "none", "--chunk", "7");
  assert.ok(same.kl_max < 1e-9 && same.top1 === 1);
  assert.ok(Math.abs(same.nll - plain.nll) < 1e-6);
  const int8 = await run("--quant", "int8", "--against", "none", "--device", "cpu");
  assert.ok(int8.kl_mean > 0 && int8.kl_mean < 5e-4, JSON.stringify(int8));
  const gpu = QUICK ? [] : ["--device", "webgpu"];
  const nf4 = await run("--quant", "nf4", "--against", "none", ...gpu);
  assert.ok(nf4.kl_mean > int8.kl_mean && nf4.kl_mean < 4.5e-2, JSON.stringify(nf4));
  await Deno.remove(file);
});

Deno.test("help lists all commands and describes each one", async () => {
  const { code, stdout } = await rwkv(["help"]);
  assert.equal(code, 0);
  for (const name of ["serve", "chat", "generate", "logits", "tokenize", "info", "eval"]) {
    assert.match(stdout, new RegExp(`^  ${name} `, "m"));
    const help = await rwkv([name, "--help"]);
    assert.equal(help.code, 0);
    assert.match(help.stdout, /Usage: .*\n[^]*Flags:\n[^]*Examples:\n/);
  }
  assert.equal(nearest("logit", ["serve", "logits"]), "logits");
});

Deno.test("wrong usage exits with status 2 and a remedy", async () => {
  const cases: [string[], RegExp][] = [
    [["serv"], /did you mean "serve"/],
    [["logits", "--modle", "x"], /--modle/],
    [["logits", "--model", MODEL], /--tokens 1,2,3 or --prompt/],
    [["logits", "--model", MODEL, "--tokens", "1,x"], /"x" is not a token id/],
    [["logits", "--model", MODEL, "--tokens", "1", "--chunk", "0"], /--chunk 0/],
    [["logits", "--model", MODEL, "--tokens", "1", "--device", "tpu"], /auto, webgpu, cpu/],
    [["generate", "--prompt", "x", "--temperature", "-1"], /--temperature -1: .*0 to 5/],
    [["generate", "--prompt", ""], /--prompt/],
    [["tokenize"], /--vocab/],
  ];
  for (const [i, [args, message]] of cases.entries()) {
    // Run one case in a separate process to check its real exit status.
    const { code, stdout, stderr } = await (i === 0 ? rwkvProcess : rwkv)(args);
    assert.equal(code, 2, `${args}: ${stderr}`);
    assert.match(stderr, message);
    assert.equal(stdout, "");
  }
});

Deno.test("a failure exits with status 1 and names file, value and remedy", async () => {
  const folder = await Deno.makeTempDir();
  const sizes = {
    version: "5.2",
    layers: 1,
    heads: 1,
    headSize: 8,
    ffnWidth: 20,
    vocabulary: 30,
    dtype: "F32",
  } as const;
  const tensors = tinyModel(sizes);
  const complete = writePth(tensors);
  await Deno.writeFile(`${folder}/cut.pth`, complete.subarray(0, complete.length / 2));
  await Deno.writeTextFile(`${folder}/renamed.pth`, "not a model");
  const incomplete = new Map([...tensors].filter(([name]) => name !== "blocks.0.ffn.value.weight"));
  await Deno.writeFile(`${folder}/missing.pth`, writePth(incomplete));
  tensors.get("head.weight")!.data[5] = NaN;
  await Deno.writeFile(`${folder}/nan.pth`, writePth(tensors));
  await Deno.writeTextFile(`${folder}/vocab.txt`, "1 'a' 1\n2 oops 4\n");
  const cases: [string[], RegExp][] = [
    [["info", "--model", `${folder}/none.pth`], /none\.pth.*no such file/],
    [["info", "--model", `${folder}/cut.pth`], /cut\.pth/],
    [["info", "--model", `${folder}/renamed.pth`], /renamed\.pth: is neither a \.pth nor/],
    [["info", "--model", `${folder}/missing.pth`], /no tensor "blocks\.0\.ffn\.value\.weight"/],
    [["logits", "--model", `${folder}/nan.pth`, "--tokens", "1"], /"?head\.weight"?.*NaN/],
    [["tokenize", "--vocab", `${folder}/vocab.txt`], /vocab\.txt.*line 2/],
    [["logits", "--model", MODEL, "--tokens", "1,300"], /token 300.*0 to 299/],
    [["logits", "--model", MODEL, "--tokens", "1", "--state-in", MODEL], /state/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await rwkv([...args, "--json"]);
    assert.equal(code, 1, `${args}: ${stderr}`);
    assert.match(stderr, message);
    assert.equal(stdout, "");
  }
  await Deno.remove(folder, { recursive: true });
});
