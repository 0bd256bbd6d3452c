import assert from "node:assert/strict";
import { CpuEngine } from "../../src/engine/cpu/cpu_engine.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { prefill } from "../../src/engine/prefill.ts";
import { GpuEngine } from "../../src/engine/gpu/gpu_engine.ts";
import { MemorySource } from "../../src/formats/byte_source.ts";
import { encodeSafetensors } from "../../src/formats/safetensors.ts";
import { openModel } from "../../src/model/load.ts";
import { testDevice } from "../support/adapter.ts";
import { assertClose } from "../support/close.ts";
import { type PthTensor, writePth } from "../formats/pth_fixture.ts";
import { QUICK, slowTest } from "../support/quick.ts";
import { seeded } from "../support/random_data.ts";
import { oracle } from "./oracle.ts";
import { huggingFaceNames, ODD_SIZES, tinyModel, type TinySizes } from "./tiny_model.ts";

const CASES: TinySizes[] = [
  ODD_SIZES,
  {
    version: "5.1",
    layers: 3,
    heads: 3,
    headSize: 12,
    ffnWidth: 126,
    vocabulary: 77,
    dtype: "F16",
  },
  { version: "5.0", layers: 1, heads: 7, headSize: 4, ffnWidth: 99, vocabulary: 5, dtype: "BF16" },
  {
    version: "5.2",
    layers: 1,
    heads: 1,
    headSize: 68,
    ffnWidth: 239,
    vocabulary: 1031,
    dtype: "F16",
  },
];

const OPTIONS = { quant: "none", slots: 3, maxStepTokens: 40 } as const;

/** Opens both engines on a checkpoint file; `maxPartBytes` splits matrices into small parts. */
async function engines(
  file: Uint8Array,
  { groupNormEps, maxPartBytes, cpuOnly = false }: {
    groupNormEps?: number;
    maxPartBytes?: number;
    cpuOnly?: boolean;
  } = {},
): Promise<Engine[]> {
  const open = () => openModel(new MemorySource("tiny", file), { groupNormEps });
  const cpu = await CpuEngine.create(await open(), OPTIONS);
  if (cpuOnly) return [cpu];
  const gpu = await GpuEngine.create(await testDevice(), await open(), {
    ...OPTIONS,
    maxPartBytes,
  });
  return [gpu, cpu];
}

function tokensBelow(vocabulary: number, count: number): number[] {
  const random = seeded(vocabulary);
  return Array.from({ length: count }, () => Math.floor(random() * vocabulary));
}

async function assertAgrees(
  engine: Engine,
  { tokens, logits, state }: { tokens: number[]; logits: number[][]; state: number[] },
) {
  for (const chunk of [1, 11, 37]) {
    await engine.writeState(2, null);
    const actual = await prefill(engine, tokens, { slot: 2, logits: "all", chunk });
    const what = `${engine.info.device} logits, chunk ${chunk}`;
    assertClose(actual, Float32Array.from(logits.flat()), { atol: 2e-4, what });
    assertClose(await engine.readState(2), Float32Array.from(state), { atol: 1e-3, what: "state" });
  }
}

for (const sizes of CASES) {
  // On WebGPU, each size compiles different kernels.
  const cpuOnly = QUICK && sizes !== ODD_SIZES;
  Deno.test(`engines match the oracle at ${JSON.stringify(sizes)}`, async () => {
    const tensors = tinyModel(sizes);
    const tokens = tokensBelow(sizes.vocabulary, 37);
    const expected = { tokens, ...oracle(tensors, tokens) };
    for (const engine of await engines(writePth(tensors), { cpuOnly })) {
      assert.equal(engine.info.dimensions.version, sizes.version);
      await assertAgrees(engine, expected);
    }
  });
}

slowTest("matrices larger than a binding are split by rows", async () => {
  const sizes = { ...CASES[0], ffnWidth: 200, vocabulary: 203 };
  const tensors = tinyModel(sizes);
  const tokens = tokensBelow(sizes.vocabulary, 37);
  const expected = { tokens, ...oracle(tensors, tokens) };
  const [engine] = await engines(writePth(tensors), { maxPartBytes: 24 * 40 * 4 });
  await assertAgrees(engine, expected);
});

Deno.test("the group norm uses the configured epsilon", async () => {
  const tensors = tinyModel(CASES[0]);
  // Small values make the group's variance comparable to the epsilon.
  tensors.get("blocks.0.att.value.weight")!.data.forEach((v, i, data) => data[i] = v * 0.01);
  const tokens = tokensBelow(101, 37);
  const usual = oracle(tensors, tokens);
  const small = oracle(tensors, tokens, 1e-5);
  const difference = Math.max(
    ...small.logits.flat().map((v, i) => Math.abs(v - usual.logits.flat()[i])),
  );
  assert.ok(difference > 0.01, "the case does not distinguish the two epsilons");
  for (const engine of await engines(writePth(tensors), { groupNormEps: 1e-5 })) {
    await assertAgrees(engine, { tokens, ...small });
  }
});

Deno.test("safetensors and Hugging Face names give the same engine and fingerprint", async () => {
  const tensors = tinyModel(CASES[0]);
  const tokens = tokensBelow(101, 37);
  const expected = { tokens, ...oracle(tensors, tokens) };
  const pth = writePth(tensors);
  const safetensors = encodeSafetensors(huggingFaceNames<PthTensor>(tensors));
  for (const engine of await engines(safetensors, { cpuOnly: QUICK })) {
    await assertAgrees(engine, expected);
  }
  const print = async (file: Uint8Array) =>
    (await openModel(new MemorySource("m", file))).fingerprint;
  assert.equal(await print(safetensors), await print(pth));
  assert.notEqual(await print(pth), await print(writePth(tinyModel(CASES[0], 2))));
});

Deno.test("a 5.2 bonus named time_first is used unchanged", async () => {
  const tensors = tinyModel(CASES[0]);
  const tokens = tokensBelow(101, 37);
  const expected = { tokens, ...oracle(tensors, tokens) };
  const renamed = new Map(
    [...tensors].map(([name, tensor]) =>
      [name.replace("time_faaaa", "time_first"), tensor] as const
    ),
  );
  for (const engine of await engines(writePth(renamed), { cpuOnly: QUICK })) {
    await assertAgrees(engine, expected);
  }
});
