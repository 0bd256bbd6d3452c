import assert from "node:assert/strict";
import { DEMO_MODEL, findModel, modelTokenizer } from "../../src/cli/model_files.ts";
import { openEngine } from "../../src/cli/open_engine.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { feed } from "../../src/engine/feed.ts";
import { sameNumbers } from "../same_numbers.ts";

const PROMPTS = [
  "User: Tell me a story about a cat.\n\nAssistant:",
  "System: You are a helpful assistant.\n\nUser: Hello! I'm Ada and I live in Leeds.\n\nAssistant:",
  "User: What is 4 + 5?\n\nAssistant: 4 plus 5 is 9.\n\nUser: and 2 + 2?\n\nAssistant:",
];
const TOKENS = 80;

/** Greedy ids, the prompt in chunks of `chunk`; goes on past the end of the reply. */
async function greedy(engine: Engine, prompt: readonly number[], chunk: number) {
  await engine.writeState(0, null);
  let logits = await feed(engine, prompt, { slot: 0, logits: "last", chunk });
  const ids: number[] = [];
  while (ids.length < TOKENS) {
    ids.push(logits.indexOf(logits.reduce((a, b) => Math.max(a, b))));
    [logits] = await engine.step([{ slot: 0, tokens: ids.slice(-1), logits: "last" }]);
  }
  return ids;
}

Deno.test("greedy replies are the same in any chunks, on the GPU engine and on the CPU engine", async () => {
  const files = await findModel({ model: DEMO_MODEL });
  const tokenizer = await modelTokenizer(files);
  const open = (device: "webgpu" | "cpu") =>
    openEngine({
      source: files.source,
      device,
      quant: "f16",
      slots: 1,
      maxStepTokens: 64,
    });
  const [gpu, cpu] = [await open("webgpu"), await open("cpu")];
  for (const prompt of PROMPTS.map((text) => tokenizer.encode(text))) {
    const wanted = await greedy(cpu, prompt, 64);
    for (const chunk of [1, 7, 64]) {
      assert.deepEqual(await greedy(gpu, prompt, chunk), wanted, `chunk ${chunk}`);
    }
  }
  await gpu.close();
  await cpu.close();
});

Deno.test("a step's results do not depend on who shares it, to the bit", async () => {
  const files = await findModel({ model: DEMO_MODEL });
  const engine = await openEngine({
    source: files.source,
    device: "webgpu",
    quant: "f16",
    slots: 20,
    maxStepTokens: 128,
  });
  const tokens = Array.from({ length: 24 }, (_, i) => 1 + (i * 97) % 2000);
  const alone = await feed(engine, tokens, { slot: 0, logits: "all", chunk: 1 });
  const state = await engine.readState(0);
  const others = Array.from({ length: 19 }, (_, i) => ({
    slot: i + 1,
    tokens: tokens.slice(0, 1 + i % 5),
    logits: "last" as const,
  }));
  await engine.writeState(0, null);
  const [among] = await engine.step([{ slot: 0, tokens, logits: "all" }, ...others]);
  assert.deepEqual(among, alone);
  assert.deepEqual(await engine.readState(0), state);
  await engine.close();
});

Deno.test("a state copied to another slot goes on there as in its own, to the bit", async () => {
  const { source } = await findModel({ model: DEMO_MODEL });
  for (const device of ["webgpu", "cpu"] as const) {
    const size = { slots: 5, maxStepTokens: 16 };
    const engine = await openEngine({ source, device, quant: "f16", ...size });
    const run = (slot: number, tokens: number[]) => ({ slot, tokens, logits: "last" as const });
    await engine.step([run(1, [12, 300, 7]), run(4, [5])]);
    // Called ahead, as a scheduler does: calls are done in order.
    const copies = [engine.copyState(1, 4), engine.copyState(1, 0)];
    const [other] = await engine.step([run(1, [9])]);
    await Promise.all(copies);
    const [own, copied] = await engine.step([run(4, [8]), run(0, [9])]);
    sameNumbers(copied, other);
    assert.notDeepEqual(own.slice(0, 20), other.slice(0, 20));
    sameNumbers(await engine.readState(0), await engine.readState(1));
    await assert.rejects(engine.copyState(0, 5), /slot/);
    await engine.close();
  }
});
