import assert from "node:assert/strict";
import { DEMO_MODEL } from "../../../src/model_files/find_model.ts";
import { slowTest } from "../../support/quick.ts";
import { CLI, ROOT } from "./run_cli.ts";
import { rwkv } from "./shared_cli.ts";

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function names(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
}

Deno.test("convert writes a loadable file, and info describes it", async () => {
  await inFolder(async (folder) => {
    const file = `${folder}/demo-nf4.safetensors`;
    const run = await rwkv(["convert", DEMO_MODEL, file, "--quant", "nf4,head=int8", "--json"]);
    assert.equal(run.code, 0, run.stderr);
    const report = JSON.parse(run.stdout);
    assert.equal(report.bytes, (await Deno.stat(file)).size);
    assert.deepEqual(await names(folder), ["demo-nf4.safetensors"]);

    const { stdout } = await rwkv(["info", "--model", file, "--json"]);
    const info = JSON.parse(stdout);
    const original = JSON.parse((await rwkv(["info", "--json"])).stdout);
    assert.equal(info.quant, "nf4,head=int8");
    assert.equal(info.converted_from, "model.safetensors");
    assert.equal(info.bits_per_weight, report.bits_per_weight);
    assert.equal(info.parameters, original.parameters);
    assert.equal(info.fingerprint, original.fingerprint);
    assert.ok(info.memory.weights < original.memory.weights / 2);
    assert.equal(info.memory.states, original.memory.states);
    const head = info.matrices.at(-1);
    assert.deepEqual([head.name, head.stored, head.held], ["head.weight", "int8", "int8"]);
    assert.equal(head.error, report.matrices["head.weight"].error);

    const logits = (model: string, ...more: string[]) =>
      rwkv(["logits", "--model", model, "--tokens", "5,6,7", "--json", ...more]);
    const quantized = await logits(DEMO_MODEL, "--quant", "nf4,head=int8");
    assert.equal((await logits(file)).stdout, quantized.stdout);
    const wrong = await logits(file, "--quant", "f16");
    assert.equal(wrong.code, 1);
    assert.match(
      wrong.stderr,
      /emb\.weight as f16: the file stores it as nf4; omit --quant \(RWKV_QUANT\)/,
    );
  });
});

Deno.test("info reports 4.5 bits per weight for nf4", async () => {
  const { stdout } = await rwkv(["info", "--quant", "nf4", "--device", "cpu"]);
  assert.match(stdout, /^bits per weight {2}4\.5$/m);
  assert.match(
    stdout,
    /^ {2}blocks\.\{0-3\}\.att\.key\.weight +192 x 192 {2}F16 -> nf4 +0\.1 MB$/m,
  );
});

slowTest(
  "convert --shape writes a random model as a .pth file and as a converted file",
  async () => {
    await inFolder(async (folder) => {
      const file = `${folder}/r.safetensors`;
      const run = await rwkv(["convert", "--shape", "0.1b", file, "--quant", "nf4", "--json"]);
      assert.equal(run.code, 0, run.stderr);
      const from = async (...args: string[]) => {
        const { code, stdout, stderr } = await rwkv(
          ["logits", "--tokens", "9,65535", "--device", "cpu", "--json", ...args],
        );
        assert.equal(code, 0, stderr);
        const { logits }: { logits: number[][] } = JSON.parse(stdout);
        assert.equal(logits[0].length, 65536);
        return logits;
      };
      assert.deepEqual(
        await from("--model", file),
        await from("--shape", "0.1b", "--quant", "nf4"),
      );

      const pth = `${folder}/r.pth`;
      assert.equal((await rwkv(["convert", "--shape", "0.1b", pth])).code, 0);
      const { stdout } = await rwkv(["info", "--model", pth, "--json"]);
      const info = JSON.parse(stdout);
      assert.deepEqual([info.layers, info.width, info.vocabulary], [12, 768, 65536]);
      assert.deepEqual(Object.keys(info.dtypes), ["BF16"]);
    });
  },
);

Deno.test("an interrupted conversion leaves no file, a killed one only a .part file", async () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    await inFolder(async (folder) => {
      const child = new Deno.Command(Deno.execPath(), {
        cwd: ROOT,
        args: [...CLI, "convert", "--shape", "1.5b", `${folder}/r.pth`],
        stdout: "null",
        stderr: "piped",
      }).spawn();
      const deadline = Date.now() + 30_000;
      while (!(await names(folder)).includes("r.pth.part") && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      child.kill(signal);
      const { code, stderr } = await child.output();
      if (signal === "SIGKILL") {
        assert.deepEqual(await names(folder), ["r.pth.part"]);
      } else {
        assert.equal(code, 1);
        assert.match(new TextDecoder().decode(stderr), /r\.pth: it was cancelled/);
        assert.deepEqual(await names(folder), []);
      }
    });
  }
});

Deno.test("a failed conversion names the file and a remedy", async () => {
  await inFolder(async (folder) => {
    const model = `${folder}/demo.safetensors`;
    await Deno.copyFile(`${DEMO_MODEL}/model.safetensors`, model);
    const packed = `${folder}/packed.safetensors`;
    assert.equal((await rwkv(["convert", model, packed])).code, 0);
    const target = `${folder}/out.safetensors`;
    const cases: [number, string[], RegExp][] = [
      [2, [model], /name two files/],
      [2, ["--shape", "3b"], /name one file/],
      [2, ["--shape", "2b", target], /--shape 2b: it must be one of 0\.1b, 0\.4b, 1\.5b, 3b, 7b/],
      [2, ["--shape", "0.1b", `${folder}/r.pth`, "--quant", "nf4"], /a \.pth file stores bfloat16/],
      [2, [model, `${folder}/out.pth`], /must end in \.safetensors/],
      [2, [model, target, "--quant", "q4"], /"q4" is not one of none, f16, int8, nf4/],
      [1, [model, target, "--quant", "nf4,haed=int8"], /"haed" matches no matrix/],
      [1, [`${folder}/none.pth`, target], /none\.pth: there is no such file/],
      [1, [model, model], /it is the model to convert/],
      [1, [model, `${folder}/no/out.safetensors`], /Cannot write .*no\/out\.safetensors/],
      [1, [packed, target, "--quant", "nf4"], /as nf4: the file stores it as int8/],
    ];
    for (const [status, args, message] of cases) {
      const { code, stdout, stderr } = await rwkv(["convert", ...args]);
      assert.equal(code, status, `${args}: ${stderr}`);
      assert.match(stderr, message);
      assert.equal(stdout, "");
    }
    assert.deepEqual(await names(folder), ["demo.safetensors", "packed.safetensors"]);
  });
});
