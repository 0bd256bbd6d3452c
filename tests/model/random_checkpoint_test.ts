import assert from "node:assert/strict";
import { dequantize } from "../../src/quant/mod.ts";
import { loadModel } from "../../src/model/load.ts";
import { randomCheckpoint } from "../../src/model/random_checkpoint.ts";
import { dimensionsOf, MODEL_SIZES } from "../../src/model/architectures/registry.ts";

function deviation(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
}

Deno.test("published sizes load with their dimensions", async () => {
  for (const shape of MODEL_SIZES) {
    const model = await loadModel(await randomCheckpoint(shape, "nf4"));
    assert.deepEqual(model.dimensions, dimensionsOf(shape));
    assert.equal(model.converted?.quant, "nf4");
  }
  const { layers, width, ffnWidth, vocabulary } = dimensionsOf("1.5b");
  assert.deepEqual([layers, width, ffnWidth, vocabulary], [24, 2048, 7168, 65536]);
});

Deno.test("weights do not depend on how they are read", async () => {
  const checkpoint = await randomCheckpoint("0.1b", "nf4,att=int8,ffn=none");
  const names = [
    "emb.weight.nf4",
    "emb.weight.scales",
    "blocks.3.att.key.weight.int8",
    "blocks.3.ffn.key.weight",
  ];
  for (const name of names) {
    const whole = await checkpoint.readRaw(name, 0, 4096);
    for (const [from, length] of [[0, 8], [1000, 600], [4088, 8]]) {
      const part = await checkpoint.readRaw(name, from, length);
      assert.deepEqual(part, whole.slice(from, from + length), `${name} ${from}`);
    }
    assert.ok(new Set(whole).size > 60, name);
  }
  const again = await randomCheckpoint("0.1b", "nf4,att=int8,ffn=none");
  assert.deepEqual(
    await again.readRaw(names[0], 512, 64),
    await checkpoint.readRaw(names[0], 512, 64),
  );
});

Deno.test("weights have the same scale in every weight type", async () => {
  const wanted = 1 / Math.sqrt(768);
  const floats = await (await randomCheckpoint("0.1b", "none")).readRows("head.weight", 64, 80);
  assert.ok(Math.abs(deviation(floats) / wanted - 1) < 0.03, `${deviation(floats)}`);
  for (const type of ["int8", "nf4"] as const) {
    const { matrix } = await loadModel(await randomCheckpoint("0.1b", type));
    const { codes, scales } = await matrix("head.weight").readPacked(64, 80);
    // The order of rows and columns does not matter here, only that codes are scaled.
    const plain = type === "int8"
      ? new Int8Array(codes.buffer)
      : Int8Array.from(codes.toHex(), (digit) => parseInt(digit, 16));
    const values = dequantize({
      codes: plain,
      scales: Float32Array.from(new Float16Array(scales.buffer)),
    }, {
      columns: 768,
      type,
    });
    assert.equal(values.length, 80 * 768);
    assert.ok(Math.abs(deviation(values) / wanted - 1) < 0.05, `${type} ${deviation(values)}`);
  }
});

Deno.test("random models of different weight types have different fingerprints", async () => {
  const prints = await Promise.all((["none", "int8", "nf4"] as const).map(async (quant) => {
    return (await loadModel(await randomCheckpoint("0.1b", quant))).fingerprint;
  }));
  assert.equal(new Set(prints).size, 3);
});
