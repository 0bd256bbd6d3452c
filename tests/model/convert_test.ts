import assert from "node:assert/strict";
import { CpuEngine } from "../../src/engine/cpu/cpu_engine.ts";
import { prefill } from "../../src/engine/prefill.ts";
import { GpuEngine } from "../../src/engine/gpu/gpu_engine.ts";
import { MemorySink } from "../../src/formats/byte_sink.ts";
import { MemorySource } from "../../src/formats/byte_source.ts";
import { convertModel } from "../../src/model/convert.ts";
import { type Model, openModel } from "../../src/model/load.ts";
import type { Quant } from "../../src/quant/mod.ts";
import { testDevice } from "../support/adapter.ts";
import { huggingFaceNames, ODD_SIZES, tinyModel } from "../engine/tiny_model.ts";
import { writePth } from "../formats/pth_fixture.ts";
import { caseCount, QUICK } from "../support/quick.ts";

/** Matrices of every type. */
const MIXED = "nf4,head=int8,blocks.1=f16,att.key=none";

const QUANTS: Quant[] = ["none", "f16", "int8", "nf4", MIXED];

const DEVICES = ["cpu", "webgpu"] as const;

const TOKENS = Array.from({ length: 23 }, (_, i) => (i * 37 + 1) % 101);

const open = (file: Uint8Array, groupNormEps?: number) =>
  openModel(new MemorySource("tiny.pth", file), { groupNormEps });

async function converted(model: Model, quant: Quant): Promise<Uint8Array<ArrayBuffer>> {
  const sink = new MemorySink("tiny.safetensors");
  await convertModel(model, sink, { quant });
  return sink.bytes;
}

async function logits(model: Model, device: "cpu" | "webgpu", quant: Quant) {
  const options = { quant, slots: 1, maxStepTokens: caseCount(16, 8) };
  const engine = device === "cpu"
    ? await CpuEngine.create(model, options)
    // Pieces of a few rows each, so that codes and scales are split too.
    : await GpuEngine.create(await testDevice(), model, { ...options, maxPartBytes: 16000 });
  return await prefill(engine, TOKENS, { slot: 0, logits: "all" });
}

for (const quant of QUANTS) {
  Deno.test(`a file converted to ${quant} gives exactly the logits of quantization at load`, async () => {
    const original = writePth(tinyModel(ODD_SIZES));
    const file = await converted(await open(original), quant);
    for (const device of QUICK && quant !== MIXED ? ["cpu"] as const : DEVICES) {
      const wanted = await logits(await open(original), device, quant);
      assert.deepEqual(await logits(await open(file), device, quant), wanted, device);
    }
  });
}

Deno.test("a converted file keeps the fingerprint of its source", async () => {
  const tensors = tinyModel(ODD_SIZES);
  const { fingerprint, dimensions } = await open(writePth(tensors));
  for (const quant of QUANTS) {
    const file = await converted(await open(writePth(huggingFaceNames(tensors))), quant);
    const model = await open(file);
    assert.deepEqual([model.fingerprint, model.dimensions], [fingerprint, dimensions]);
    assert.equal(model.converted?.quant, quant);
    assert.equal(model.converted?.source, "tiny.pth");
  }
  const other = await open(writePth(tinyModel(ODD_SIZES, 2)));
  assert.notEqual((await open(await converted(other, "nf4"))).fingerprint, fingerprint);
});

Deno.test("the group norm epsilon is stored, and a flag overrides it", async () => {
  const original = writePth(tinyModel(ODD_SIZES));
  const file = await converted(await open(original, 1e-5), "int8");
  assert.equal((await open(file)).dimensions.groupNormEps, 1e-5);
  assert.equal((await open(file)).fingerprint, (await open(original, 1e-5)).fingerprint);
  assert.equal((await open(file, 64e-5)).fingerprint, (await open(original)).fingerprint);
});

Deno.test("errors of all matrices are reported, and are smaller for wider types", async () => {
  const original = await open(writePth(tinyModel(ODD_SIZES)));
  const errors = async (quant: Quant) => {
    const { converted: report } = await open(await converted(original, quant));
    return [...report!.matrices.values()].map(({ error }) => error);
  };
  assert.ok((await errors("none")).every((error) => error === null));
  const [f16, int8, nf4] = [await errors("f16"), await errors("int8"), await errors("nf4")];
  nf4.forEach((error, i) => {
    assert.ok(f16[i]! > 0 && f16[i]! < 3e-4, `f16 ${f16[i]}`);
    assert.ok(int8[i]! > f16[i]! && int8[i]! < 0.01, `int8 ${int8[i]}`);
    assert.ok(error! > int8[i]! && error! < 0.1, `nf4 ${error}`);
  });
});

Deno.test("a converted file can be converted again if no packed matrix changes its type", async () => {
  const original = await open(writePth(tinyModel(ODD_SIZES)));
  const halves = await open(await converted(original, "none"));
  assert.deepEqual(await converted(halves, "nf4"), await converted(original, "nf4"));
  const packed = await open(await converted(original, "nf4"));
  assert.deepEqual(await converted(packed, "nf4"), await converted(original, "nf4"));
  await assert.rejects(converted(packed, "int8"), /emb\.weight as int8: the file stores it as nf4/);
});

Deno.test("engines reject a type that differs from the converted file", async () => {
  const packed = await open(await converted(await open(writePth(tinyModel(ODD_SIZES))), "nf4"));
  for (const device of DEVICES) {
    await assert.rejects(logits(packed, device, "f16"), {
      code: "invalid_value",
      message:
        /Cannot load emb\.weight as f16: the file stores it as nf4; omit --quant \(RWKV_QUANT\)/,
    });
  }
});

Deno.test("a weight beyond the range of float16 is rejected", async () => {
  const tensors = tinyModel(ODD_SIZES);
  tensors.get("blocks.1.ffn.key.weight")!.data[77] = 1e5;
  const original = await open(writePth(tensors));
  const wanted = { code: "invalid_value", message: /blocks\.1\.ffn\.key\.weight.*100000.*float16/ };
  await assert.rejects(converted(original, "f16"), wanted);
  await assert.rejects(logits(original, "webgpu", "f16"), wanted);
  await assert.rejects(logits(original, "cpu", "f16"), wanted);
  await logits(original, "cpu", "int8");
});
