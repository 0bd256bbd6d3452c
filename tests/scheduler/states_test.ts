/** How turns get their initial states: by copies, by loads and from warm slots. */

import assert from "node:assert/strict";
import { recordToken } from "../../src/sampler/penalties.ts";
import { CpuSamplingEngine } from "../../src/scheduler/cpu_sampling.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import type { GenerationRequest, StateSource } from "../../src/scheduler/scheduler_types.ts";
import { collect, cpuEngine, engine, run, storedState, TOKENS, turnRequest } from "./fixtures.ts";

const PROMPT = Array.from({ length: 40 }, (_, i) => (i * 13) % 50);

/** The same prompt with a different seed for each choice. */
function choices(
  count: number,
  tokens = PROMPT,
  overrides: Partial<GenerationRequest> = {},
): GenerationRequest[] {
  return Array.from({ length: count }, (_, i) => {
    const { sampling } = turnRequest(tokens);
    const own = { ...sampling, seed: BigInt(i) };
    return turnRequest(tokens, {
      ...overrides,
      counts: new Map(),
      sampling: own,
      maxTokens: 5 + 3 * i,
    });
  });
}

for (const slots of [1, 3, 8]) {
  for (const tokens of [PROMPT, PROMPT.slice(0, 2), PROMPT.slice(0, 1)]) {
    Deno.test(`five choices of one prompt of ${tokens.length} tokens equal five turns, in ${slots} slots`, async () => {
      const state = await (await cpuEngine(1)).readState(0);
      state.fill(0.25);
      const from = { state: storedState(state) };
      const alone = [];
      for (const turn of choices(5, tokens, from)) {
        alone.push(await run(new Scheduler(await engine(1)), turn));
      }
      const inner = await cpuEngine(slots);
      let processedCount = 0;
      const step = inner.step.bind(inner);
      inner.step = (runs) => {
        processedCount += runs.reduce((sum, run) => sum + run.tokens.length, 0);
        return step(runs);
      };
      const scheduler = new Scheduler(new CpuSamplingEngine(inner, TOKENS));
      const other = run(scheduler, turnRequest([7, 8, 9]));
      const together = scheduler.submitAll(choices(5, tokens, from));
      assert.deepEqual([scheduler.snapshot.running, scheduler.snapshot.waiting], [1, 5]);
      assert.deepEqual(await Promise.all(together.map(collect)), alone);
      await other;
      const sampled = alone.reduce((sum, { sampledTokens }) => sum + sampledTokens, 0);
      // The prompt once, its last token for each choice, and every sampled token except the last
      // ones.
      assert.equal(processedCount, (tokens.length - 1) + 5 + (sampled - 5) + (3 + 12 - 1));
      const { running, waiting, turnsEnded } = scheduler.snapshot;
      assert.deepEqual([running, waiting, turnsEnded], [0, 0, 6]);
    });
  }
}

Deno.test("choices end together until their shared prompt is processed", async () => {
  const controller = new AbortController();
  const inner = await cpuEngine(3);
  const step = inner.step.bind(inner);
  inner.step = (runs) => {
    controller.abort();
    return step(runs);
  };
  const scheduler = new Scheduler(new CpuSamplingEngine(inner, TOKENS));
  const turns = scheduler.submitAll(choices(3, PROMPT, { signal: controller.signal }));
  const ended = await Promise.all(turns.map(collect));
  for (const { reason, tokens, pendingTokens, state } of ended) {
    assert.deepEqual([reason, tokens], ["cancelled", []]);
    assert.ok(pendingTokens.length > 1 && pendingTokens.length < PROMPT.length);
    assert.deepEqual(pendingTokens, PROMPT.slice(-pendingTokens.length));
    const rest = turnRequest(pendingTokens, { state: storedState(state) });
    const { tokens: resumed } = await run(new Scheduler(await engine()), rest);
    const whole = await run(new Scheduler(await engine()), turnRequest(PROMPT));
    assert.deepEqual(resumed, whole.tokens);
  }
  inner.step = () => Promise.reject(new Error("broken"));
  const failing = scheduler.submitAll(choices(3));
  for (const { finished } of failing) await assert.rejects(finished, /broken/);
  const late = new Scheduler(await engine(1), { clock: ((now) => () => now += 10)(0) });
  const first = run(late, turnRequest([1], { maxTokens: 50 }));
  for (const turn of late.submitAll(choices(3, PROMPT, { timeoutMs: 15 }))) {
    assert.equal((await turn.finished).reason, "timeout");
  }
  assert.equal((await first).sampledTokens, 50);
  assert.equal(late.snapshot.turnsEnded, 4);
});

Deno.test("a turn resumes in the slot with its state unless the slot was reused", async () => {
  const scheduler = new Scheduler(await engine(2));
  const loads: string[] = [];
  const source = (state: Float32Array, key: string): StateSource => ({
    stateKey: key,
    load: () => {
      loads.push(key);
      return Promise.resolve(state);
    },
  });
  const whole = await run(scheduler, turnRequest([1, 2, 3], { maxTokens: 20 }));
  const generation = scheduler.submit(turnRequest([1, 2, 3], { maxTokens: 7 }));
  const { tokens, pendingTokens, state } = await collect(generation);
  generation.keepWarm("seven");
  const rest = () =>
    turnRequest(pendingTokens, {
      state: source(state!, "seven"),
      position: 7,
      counts: countsOf(tokens),
      maxTokens: 13,
    });
  const second = await run(scheduler, rest());
  assert.deepEqual(loads, []);
  assert.equal(scheduler.snapshot.warmSlotHits, 1);
  assert.deepEqual([...tokens, ...second.tokens], whole.tokens);
  assert.deepEqual(second.state, whole.state);
  // The state in the slot has advanced since, so it must be loaded from its source.
  assert.deepEqual((await run(scheduler, rest())).tokens, second.tokens);
  assert.deepEqual(loads, ["seven"]);
  generation.keepWarm("seven");
  assert.deepEqual((await run(scheduler, rest())).tokens, second.tokens);
  assert.deepEqual(loads, ["seven", "seven"]);
});

Deno.test("the next turn starts from the state that replaced the slot's state", async () => {
  const scheduler = new Scheduler(await engine(1));
  const generation = scheduler.submit(turnRequest([1, 2, 3]));
  const { state } = await collect(generation);
  const rounded = state!.map((value) => Math.round(value * 8) / 8);
  generation.keepWarm("rounded", rounded);
  const warm = await run(
    scheduler,
    turnRequest([4], { state: { stateKey: "rounded", load: failed } }),
  );
  assert.equal(scheduler.snapshot.warmSlotHits, 1);
  assert.deepEqual(warm, await run(scheduler, turnRequest([4], { state: storedState(rounded) })));
  assert.notDeepEqual(
    warm.state,
    (await run(scheduler, turnRequest([4], { state: storedState(state) }))).state,
  );
});

Deno.test("other turns run while a state loads; a failed load ends only its own turn", async () => {
  const scheduler = new Scheduler(await engine(2));
  const { promise, resolve } = Promise.withResolvers<Float32Array>();
  const slow = scheduler.submit(
    turnRequest([4], { state: { stateKey: "slow", load: () => promise } }),
  );
  const other = await run(scheduler, turnRequest([1]));
  assert.equal(other.tokens.length, 12);
  assert.equal(scheduler.snapshot.running, 1);
  const { state } = await run(scheduler, turnRequest([2]));
  resolve(state!);
  const wanted = await run(scheduler, turnRequest([4], { state: storedState(state) }));
  assert.deepEqual(await collect(slow), wanted);

  const failing = run(scheduler, turnRequest([4], { state: { stateKey: null, load: failed } }));
  const going = run(scheduler, turnRequest([1]));
  await assert.rejects(failing, /gone/);
  assert.deepEqual(await going, other);
  const bad = storedState(new Float32Array(3));
  await assert.rejects(run(scheduler, turnRequest([4], { state: bad })), /state/);

  const controller = new AbortController();
  const late = Promise.withResolvers<Float32Array>();
  const left = scheduler.submit(
    turnRequest([4], {
      state: { stateKey: null, load: () => late.promise },
      signal: controller.signal,
    }),
  );
  await run(scheduler, turnRequest([1]));
  controller.abort();
  late.resolve(state!);
  const { reason, state: none, pendingTokens } = await left.finished;
  assert.deepEqual([reason, none, pendingTokens], ["cancelled", null, [4]]);
  await scheduler.close();
});

function failed(): Promise<Float32Array> {
  return Promise.reject(new Error("gone"));
}

/** Returns the counts after these tokens, decayed as `work` does. */
function countsOf(tokens: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const token of tokens) recordToken(counts, token, 0.99);
  return counts;
}
