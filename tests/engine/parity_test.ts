import assert from "node:assert/strict";
import { DEMO_MODEL, findModel, openModelTokenizer } from "../../src/model_files/find_model.ts";
import { openEngine } from "../../src/server/open_engine.ts";
import type { SamplingEngine } from "../../src/engine/engine.ts";
import { prefill } from "../../src/engine/prefill.ts";
import { caseCount, QUICK } from "../support/quick.ts";
import { assertSameNumbers } from "../support/same_numbers.ts";

const PROMPTS = [
  "User: Tell me a story about a cat.\n\nAssistant:",
  "System: You are a helpful assistant.\n\nUser: Hello! I'm Ada and I live in Leeds.\n\nAssistant:",
  "User: What is 4 + 5?\n\nAssistant: 4 plus 5 is 9.\n\nUser: and 2 + 2?\n\nAssistant:",
];
const TOKENS = caseCount(80, 40);

const files = await findModel({ model: DEMO_MODEL });

function open(device: "webgpu" | "cpu", slots: number): Promise<SamplingEngine> {
  const { source } = files;
  return openEngine({ source, device, quant: "f16", slots, maxStepTokens: 128 });
}

let shared: Promise<SamplingEngine> | undefined;

/** Opens the GPU engine shared by all tests. */
function gpuEngine(): Promise<SamplingEngine> {
  return shared ??= open("webgpu", 20);
}

/**
 * Returns the greedy ids after each prompt, with prefill in chunks of `chunk` tokens. Each step
 * decodes all replies, beyond their end tokens.
 */
async function greedy(
  engine: SamplingEngine,
  prompts: readonly (readonly number[])[],
  chunk: number,
): Promise<number[][]> {
  let logits: Float32Array[] = [];
  for (const [slot, prompt] of prompts.entries()) {
    await engine.writeState(slot, null);
    logits.push(await prefill(engine, prompt, { slot, logits: "last", chunk }));
  }
  const ids = prompts.map((): number[] => []);
  for (let step = 0; step < TOKENS; step++) {
    logits.forEach((row, i) => ids[i].push(row.indexOf(row.reduce((a, b) => Math.max(a, b)))));
    logits = await engine.step(
      ids.map((own, slot) => ({ slot, tokens: own.slice(-1), logits: "last" })),
    );
  }
  return ids;
}

Deno.test("greedy replies are the same for any chunk size and on both engines", async () => {
  const tokenizer = await openModelTokenizer(files);
  const prompts = PROMPTS.map((text) => tokenizer.encode(text));
  const [gpu, cpu] = [await gpuEngine(), await open("cpu", prompts.length)];
  const expected = await greedy(cpu, prompts, 64);
  for (const chunk of QUICK ? [7] : [1, 7]) {
    assert.deepEqual(await greedy(gpu, prompts, chunk), expected, `chunk ${chunk}`);
  }
  for (const [i, prompt] of prompts.slice(0, caseCount(3, 1)).entries()) {
    assert.deepEqual(await greedy(gpu, [prompt], 64), [expected[i]], "alone, chunk 64");
  }
  await cpu.close();
});

Deno.test("a run's results are bit-identical for any other runs in its step", async () => {
  const engine = await gpuEngine();
  const tokens = Array.from({ length: 24 }, (_, i) => 1 + (i * 97) % 2000);
  await engine.writeState(0, null);
  const alone = await prefill(engine, tokens, { slot: 0, logits: "all", chunk: 1 });
  const state = await engine.readState(0);
  const others = Array.from({ length: 19 }, (_, i) => ({
    slot: i + 1,
    tokens: tokens.slice(0, 1 + i % 5),
    logits: "last" as const,
  }));
  await engine.writeState(0, null);
  const [inBatch] = await engine.step([{ slot: 0, tokens, logits: "all" }, ...others]);
  assert.deepEqual(inBatch, alone);
  assert.deepEqual(await engine.readState(0), state);
});

Deno.test("a state copied to another slot continues bit-identically", async () => {
  const cpu = await open("cpu", 5);
  for (const engine of [await gpuEngine(), cpu]) {
    const run = (slot: number, tokens: number[]) => ({ slot, tokens, logits: "last" as const });
    await engine.step([run(1, [12, 300, 7]), run(4, [5])]);
    // Not awaited first, as in the scheduler: calls run in order.
    const copies = [engine.copyState(1, 4), engine.copyState(1, 0)];
    const [other] = await engine.step([run(1, [9])]);
    await Promise.all(copies);
    const [own, copied] = await engine.step([run(4, [8]), run(0, [9])]);
    assertSameNumbers(copied, other);
    assert.notDeepEqual(own.slice(0, 20), other.slice(0, 20));
    assertSameNumbers(await engine.readState(0), await engine.readState(1));
    await assert.rejects(engine.copyState(0, engine.info.slots), /slot/);
  }
  await cpu.close();
});
