/** Compares log probabilities of the GPU engine and the CPU engine. */

import assert from "node:assert/strict";
import { DEMO_MODEL, findModel, openModelTokenizer } from "../../src/model_files/find_model.ts";
import { openEngine } from "../../src/server/open_engine.ts";
import { NEUTRAL_SAMPLING, type TokenLogprobs } from "../../src/core/sampling.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import { tokenTable } from "../../src/tokenizer/token_table.ts";

const PROMPT = "User: Tell me a story about a cat.\n\nAssistant:";

Deno.test("both engines return the same log probabilities, next to turns sampled on the device", async () => {
  const files = await findModel({ model: DEMO_MODEL });
  const tokenizer = await openModelTokenizer(files);
  const results: { tokens: number[]; logprobs: TokenLogprobs[] }[] = [];
  for (const device of ["webgpu", "cpu"] as const) {
    const engine = await openEngine({
      source: files.source,
      device,
      quant: "f16",
      slots: 3,
      maxStepTokens: 128,
      tokens: tokenTable(tokenizer),
    });
    const scheduler = new Scheduler(engine);
    const submit = (logprobs: number | undefined) =>
      scheduler.submit({
        state: null,
        tokens: tokenizer.encode(PROMPT),
        sampling: { ...NEUTRAL_SAMPLING, temperature: 0, seed: 0n },
        counts: new Map(),
        position: 0,
        maxTokens: 40,
        endToken: tokenizer.endOfText,
        stops: null,
        logprobs,
      });
    const [withLogprobs, plain] = [submit(5), submit(undefined)];
    const result: (typeof results)[number] = { tokens: [], logprobs: [] };
    for await (const { tokens, logprobs } of withLogprobs) {
      result.tokens.push(...tokens);
      result.logprobs.push(...logprobs!);
    }
    const others: number[] = [];
    for await (const { tokens } of plain) others.push(...tokens);
    assert.deepEqual(others, result.tokens);
    results.push(result);
    await engine.close();
  }
  const [gpu, cpu] = results;
  assert.deepEqual(gpu.tokens, cpu.tokens);
  for (const [i, { logprob, top }] of gpu.logprobs.entries()) {
    assert.ok(Math.abs(logprob - cpu.logprobs[i].logprob) < 1e-3);
    assert.equal(top[0].token, gpu.tokens[i], "greedy");
    for (const [k, own] of top.entries()) {
      assert.ok(Math.abs(own.logprob - cpu.logprobs[i].top[k].logprob) < 1e-3);
      assert.ok(k === 0 || own.logprob <= top[k - 1].logprob);
    }
    assert.ok(top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0) <= 1 + 1e-9);
  }
});
