/** Turns that need sampling on the CPU: constraints and log probabilities. */

import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import type { Constraint, TokenConstraint } from "../../src/core/sampling.ts";
import type { SamplingEngine } from "../../src/engine/engine.ts";
import { computeLogprobs } from "../../src/sampler/logprobs.ts";
import { CpuSamplingEngine } from "../../src/scheduler/cpu_sampling.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import type { GenerationRequest } from "../../src/scheduler/scheduler_types.ts";
import { cpuEngine, run, TOKENS, turnRequest } from "./fixtures.ts";

/** Allows multiples of three, and only 0 after `9`. */
class Threes implements TokenConstraint {
  static open = 0;
  #last = -1;

  constructor() {
    Threes.open++;
  }

  tokenBitmask(): Promise<Int32Array> {
    const words = new Int32Array(2);
    for (let id = 0; id < 50; id++) {
      if (this.#last === 9 ? id === 0 : id % 3 === 0) words[id >> 5] |= 1 << (id & 31);
    }
    return Promise.resolve(words);
  }

  accept(token: number): void {
    this.#last = token;
  }

  close(): void {
    Threes.open--;
  }
}

function constrain({ type }: Constraint): Promise<TokenConstraint> {
  if (type === "json_object") return Promise.resolve(new Threes());
  return Promise.reject(new InferenceError("invalid_value", "no such grammar"));
}

/** Returns an engine whose device samples like a GPU, and one that does not sample. */
async function engines(): Promise<SamplingEngine[]> {
  const inner = await cpuEngine(4);
  const device = new CpuSamplingEngine(inner, TOKENS);
  return [
    new CpuSamplingEngine(device, TOKENS, { device, createConstraint: constrain }),
    new CpuSamplingEngine(await cpuEngine(4), TOKENS, { createConstraint: constrain }),
  ];
}

const THREES: Partial<GenerationRequest> = { constraint: { type: "json_object" }, endToken: 0 };

Deno.test("a constrained turn samples only allowed tokens, alone and in a batch", async () => {
  for (const engine of await engines()) {
    const scheduler = new Scheduler(engine);
    const free = await run(scheduler, turnRequest([1, 2, 3], { maxTokens: 30 }));
    assert.ok(free.tokens.some((token) => token % 3 !== 0));
    const alone = await run(scheduler, turnRequest([1, 2, 3], { ...THREES, maxTokens: 40 }));
    assert.ok(alone.tokens.every((token) => token % 3 === 0));
    assert.equal(alone.reason, alone.tokens.at(-1) === 0 ? "stop" : "length");
    const nine = alone.tokens.indexOf(9);
    if (nine >= 0) assert.equal(alone.tokens[nine + 1], 0);
    const [among, other] = await Promise.all([
      run(scheduler, turnRequest([1, 2, 3], { ...THREES, maxTokens: 40 })),
      run(scheduler, turnRequest([1, 2, 3], { maxTokens: 30 })),
    ]);
    assert.deepEqual(among, alone);
    assert.deepEqual(other, free);
    await engine.prepareConstraint({ type: "json_object" });
  }
  assert.ok(Threes.open <= 4 * 2, `${Threes.open} constraints are open, more than one per slot`);
});

Deno.test("log probabilities do not change tokens and match the engine's logits", async () => {
  for (const engine of await engines()) {
    const scheduler = new Scheduler(engine);
    const plain = await run(scheduler, turnRequest([4, 5]));
    const generation = scheduler.submit(turnRequest([4, 5], { logprobs: 3 }));
    const tokens: number[] = [];
    const logprobsOfTurn = [];
    for await (const batch of generation) {
      tokens.push(...batch.tokens);
      logprobsOfTurn.push(...batch.logprobs!);
    }
    assert.deepEqual(tokens, plain.tokens);
    assert.deepEqual((await generation.finished).state, plain.state);
    const fresh = await cpuEngine(1);
    let processedCount = [4, 5];
    for (const [i, token] of tokens.entries()) {
      const [logits] = await fresh.step([{ slot: 0, tokens: processedCount, logits: "last" }]);
      assert.deepEqual(
        logprobsOfTurn[i],
        computeLogprobs(token, logits, { banned: TOKENS.banned, count: 3 }),
      );
      processedCount = [token];
    }
  }
});

Deno.test("CPU sampling complements the device: both engines give the same text", async () => {
  const texts = [];
  for (const engine of await engines()) {
    const sampling = { ...turnRequest([1]).sampling, minP: 0.2, repetitionPenalty: 1.5 };
    const scheduler = new Scheduler(engine);
    texts.push((await run(scheduler, turnRequest([4, 5], { sampling, maxTokens: 30 }))).tokens);
    const free = await run(scheduler, turnRequest([4, 5], { maxTokens: 30 }));
    assert.notDeepEqual(free.tokens, texts[0]);
  }
  assert.deepEqual(texts[0], texts[1]);
});

Deno.test("log probabilities ignore constraints", async () => {
  for (const engine of await engines()) {
    const generation = new Scheduler(engine).submit(
      turnRequest([4, 5], { ...THREES, logprobs: 50 }),
    );
    for await (const { tokens, logprobs } of generation) {
      for (const [i, { logprob, top }] of logprobs!.entries()) {
        assert.equal(top.find(({ token }) => token === tokens[i])!.logprob, logprob);
        assert.ok(top.some(({ token }) => token % 3 !== 0));
        const sum = top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0);
        assert.ok(Math.abs(sum - 1) < 1e-9);
      }
    }
  }
});

Deno.test("rejects an unsupported constraint before the turn", async () => {
  for (const engine of await engines()) {
    const scheduler = new Scheduler(engine);
    const bad: Constraint = { type: "regex", pattern: "(" };
    await assert.rejects(scheduler.prepareConstraint(bad), { code: "invalid_value" });
    await assert.rejects(run(scheduler, turnRequest([1], { constraint: bad })), {
      code: "invalid_value",
    });
    assert.equal((await run(scheduler, turnRequest([1]))).tokens.length, 12);
  }
  const none = new Scheduler(new CpuSamplingEngine(await cpuEngine(1), TOKENS));
  await assert.rejects(none.prepareConstraint({ type: "json_object" }), {
    code: "unsupported_value",
  });
});
