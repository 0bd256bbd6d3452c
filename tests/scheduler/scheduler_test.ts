import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { CpuSamplingEngine } from "../../src/scheduler/cpu_sampling.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import { cpuEngine, engine, run, storedState, TOKENS, turnRequest } from "./fixtures.ts";

Deno.test("a reply is the same alone and in a changing batch", async () => {
  const prompt = Array.from({ length: 40 }, (_, i) => (i * 13) % 50);
  const alone = await run(new Scheduler(await engine()), turnRequest(prompt));
  assert.equal(alone.tokens.length, 12);
  assert.equal(alone.reason, "length");
  const scheduler = new Scheduler(await engine());
  const others = [3, 20, 1, 33, 2].map((length, i) =>
    run(scheduler, turnRequest(prompt.slice(0, length), { maxTokens: 3 + i, position: i }))
  );
  const among = await run(scheduler, turnRequest(prompt));
  await Promise.all(others);
  assert.deepEqual(among, alone);
});

Deno.test("a turn in two parts gives the same tokens and state as one turn", async () => {
  const scheduler = new Scheduler(await engine());
  const whole = await run(scheduler, turnRequest([1, 2, 3], { maxTokens: 20 }));
  const counts = new Map<number, number>();
  const first = await run(scheduler, turnRequest([1, 2, 3], { maxTokens: 7, counts }));
  assert.deepEqual(first.pendingTokens, first.tokens.slice(-1));
  const { state, pendingTokens, sampledTokens } = first;
  const second = await run(
    scheduler,
    turnRequest(pendingTokens, {
      state: storedState(state),
      position: sampledTokens,
      counts,
      maxTokens: 13,
    }),
  );
  assert.deepEqual([...first.tokens, ...second.tokens], whole.tokens);
  assert.deepEqual(second.state, whole.state);
  assert.deepEqual(second.pendingTokens, whole.pendingTokens);
});

Deno.test("a turn ends with an end token or a stop string and leaves the last token pending", async () => {
  const scheduler = new Scheduler(await engine());
  const { tokens } = await run(scheduler, turnRequest([4], { maxTokens: 40 }));
  const at = tokens.findIndex((token, i) => i > 3 && tokens.indexOf(token) === i);
  const ended = await run(scheduler, turnRequest([4], { maxTokens: 40, endToken: tokens[at] }));
  assert.equal(ended.reason, "stop");
  assert.deepEqual(ended.tokens, tokens.slice(0, at + 1));
  assert.deepEqual(ended.pendingTokens, [tokens[at]]);
  const until = await run(scheduler, turnRequest([4], { maxTokens: at + 1 }));
  assert.deepEqual(ended.state, until.state);
  // The end of one token and the beginning of the next one.
  const stop = new TextEncoder().encode(`${tokens[at - 1]}><${tokens[at]}`);
  const stops = { strings: [stop], precedingBytes: new Uint8Array(), unsearchedBytes: 0 };
  const stopped = await run(scheduler, turnRequest([4], { maxTokens: 40, stops }));
  assert.equal(stopped.reason, "stop");
  assert.deepEqual(stopped.pendingTokens, stopped.tokens.slice(-1));
  assert.deepEqual(stopped.tokens, tokens.slice(0, stopped.tokens.length));
  assert.ok(stopped.tokens.length <= at + 1);
});

Deno.test("a reply and its state do not depend on the batch", async () => {
  const wanted = await run(
    new Scheduler(new CpuSamplingEngine(await cpuEngine(1), TOKENS, { maxSteps: 1 })),
    turnRequest([4, 5], { maxTokens: 100 }),
  );
  for (const maxSteps of [2, 7, 64]) {
    const scheduler = new Scheduler(
      new CpuSamplingEngine(await cpuEngine(1), TOKENS, { maxSteps }),
    );
    assert.deepEqual(await run(scheduler, turnRequest([4, 5], { maxTokens: 100 })), wanted);
  }
});

Deno.test("max_tokens 0 processes the prompt except for its last token", async () => {
  const scheduler = new Scheduler(await engine());
  const processedCount = await run(scheduler, turnRequest([5, 6, 7], { maxTokens: 0 }));
  assert.deepEqual([
    processedCount.tokens,
    processedCount.pendingTokens,
    processedCount.sampledTokens,
  ], [[], [7], 0]);
  const next = await run(
    scheduler,
    turnRequest(processedCount.pendingTokens, { state: storedState(processedCount.state) }),
  );
  const whole = await run(scheduler, turnRequest([5, 6, 7]));
  assert.deepEqual(next.tokens, whole.tokens);
});

Deno.test("a cancelled turn ends after the in-flight steps with consistent state and pending tokens", async () => {
  const scheduler = new Scheduler(
    new CpuSamplingEngine(await cpuEngine(3), TOKENS, { maxSteps: 3 }),
  );
  const controller = new AbortController();
  const generation = scheduler.submit(
    turnRequest([1, 2, 3], { maxTokens: 1000, signal: controller.signal }),
  );
  const tokens: number[] = [];
  for await (const batch of generation) {
    tokens.push(...batch.tokens);
    if (tokens.length >= 5) controller.abort();
  }
  const { reason, state, pendingTokens } = await generation.finished;
  assert.equal(reason, "cancelled");
  // The batch of the fifth token has at most two more, and two windows were in flight.
  assert.ok(tokens.length <= 5 + 2 + 2 * 3, `${tokens.length} tokens`);
  const counts = new Map<number, number>();
  const whole = await run(scheduler, turnRequest([1, 2, 3], { counts, maxTokens: tokens.length }));
  assert.deepEqual(tokens, whole.tokens);
  assert.deepEqual(pendingTokens, whole.pendingTokens);
  assert.deepEqual(state, whole.state);
});

Deno.test("a turn that is cancelled while waiting returns its prompt as pending", async () => {
  const scheduler = new Scheduler(await engine(1));
  const busy = run(scheduler, turnRequest([1], { maxTokens: 30 }));
  const waiting = await run(scheduler, turnRequest([8, 9], { signal: AbortSignal.abort() }));
  assert.deepEqual([waiting.reason, waiting.pendingTokens], ["cancelled", [8, 9]]);
  assert.equal(waiting.state, null);
  await busy;
});

Deno.test("a turn starts from its own state in a reused slot", async () => {
  const scheduler = new Scheduler(await engine(1));
  const fresh = await run(scheduler, turnRequest([9, 8]));
  await run(scheduler, turnRequest([30, 31, 32, 33], { maxTokens: 30 }));
  assert.deepEqual(await run(scheduler, turnRequest([9, 8])), fresh);
});

Deno.test("the queue is bounded", async () => {
  const scheduler = new Scheduler(await engine(1), { maxQueue: 2 });
  // One turn in the slot, two waiting.
  const turns = [1, 2, 3].map((token) => run(scheduler, turnRequest([token])));
  assert.throws(
    () => scheduler.submit(turnRequest([4])),
    (error) => error instanceof InferenceError && error.code === "overloaded",
  );
  await Promise.all(turns);
});

Deno.test("a rejected turn gets a retry time; a cancelled waiting turn frees its place immediately", async () => {
  const scheduler = new Scheduler(await engine(1), { maxQueue: 1 });
  const controller = new AbortController();
  const turns = [
    run(scheduler, turnRequest([1])),
    run(scheduler, turnRequest([2], { signal: controller.signal })),
  ];
  assert.throws(
    () => scheduler.submit(turnRequest([3])),
    (error) => error instanceof InferenceError && error.retryAfter! >= 1,
  );
  controller.abort();
  turns.push(run(scheduler, turnRequest([3])));
  assert.deepEqual((await Promise.all(turns)).map(({ reason }) => reason), [
    "length",
    "cancelled",
    "length",
  ]);
  const {
    turnsEnded,
    queueRejections,
    running,
    waiting,
    sampledTokens,
  } = scheduler.snapshot;
  assert.deepEqual([turnsEnded, queueRejections, running, waiting, sampledTokens], [
    3,
    1,
    0,
    0,
    24,
  ]);
});

Deno.test("limits the turns of a key without blocking other keys", async () => {
  const scheduler = new Scheduler(await engine(2), { maxPerFairnessKey: 3 });
  const order: string[] = [];
  const start = async (key: string) => {
    await run(scheduler, turnRequest([1, 2], { fairnessKey: key }));
    order.push(key);
  };
  const turns = ["a", "a", "a", "b"].map(start);
  assert.throws(
    () => scheduler.submit(turnRequest([1], { fairnessKey: "a" })),
    (error) =>
      error instanceof InferenceError && error.code === "too_many_turns" && error.status === 429,
  );
  turns.push(start("b"));
  await Promise.all(turns);
  // One turn of a started before the turns of b; then each key has a slot.
  assert.deepEqual(order.slice(0, 2).sort(), ["a", "b"]);
  await run(scheduler, turnRequest([1], { fairnessKey: "a" }));
});

Deno.test("each choice counts as a turn of its key, before and after the fork", async () => {
  const scheduler = new Scheduler(await engine(1), { maxPerFairnessKey: 3 });
  const choices = (key: string, count: number) =>
    scheduler.submitAll(
      Array.from({ length: count }, () => turnRequest([1, 2], { fairnessKey: key })),
    );
  const assertRejected = (code: string, submit: () => unknown) =>
    assert.throws(submit, (error) => error instanceof InferenceError && error.code === code);
  assertRejected("invalid_value", () => choices("a", 4));
  const turns = choices("a", 2);
  assertRejected("too_many_turns", () => choices("a", 2));
  turns.push(...choices("a", 1), ...choices("b", 3));
  const ended = turns.map(({ finished }) => finished);
  await ended[0];
  assertRejected("too_many_turns", () => choices("a", 3));
  await Promise.all(ended);
  await Promise.all(choices("a", 3).map(({ finished }) => finished));
});

Deno.test("a turn that exceeds its timeout ends with the tokens so far, also while waiting", async () => {
  let now = 0;
  const scheduler = new Scheduler(await engine(1), { clock: () => now += 10 });
  const slow = run(scheduler, turnRequest([1, 2], { maxTokens: 1000, timeoutMs: 500 }));
  const waiting = await run(scheduler, turnRequest([8, 9], { timeoutMs: 20 }));
  assert.deepEqual([waiting.reason, waiting.pendingTokens, waiting.tokens], [
    "timeout",
    [8, 9],
    [],
  ]);
  const { reason, tokens, pendingTokens, state } = await slow;
  assert.equal(reason, "timeout");
  assert.ok(tokens.length > 0 && tokens.length < 1000);
  assert.deepEqual(pendingTokens, tokens.slice(-1));
  const whole = await run(
    new Scheduler(await engine(1)),
    turnRequest([1, 2], { maxTokens: tokens.length }),
  );
  assert.deepEqual([tokens, pendingTokens], [whole.tokens, whole.pendingTokens]);
  assert.deepEqual(state, whole.state);
});

Deno.test("a closed scheduler finishes running turns and rejects new ones", async () => {
  const scheduler = new Scheduler(await engine());
  const turn = run(scheduler, turnRequest([1]));
  await scheduler.close();
  assert.equal((await turn).tokens.length, 12);
  assert.throws(
    () => scheduler.submit(turnRequest([3])),
    (error) => error instanceof InferenceError && error.code === "shutting_down",
  );
});

Deno.test("an engine failure ends the running turns, and the next turn runs", async () => {
  const inner = await cpuEngine(3);
  let failing = true;
  const faulty: Engine = {
    info: inner.info,
    step: (runs) => failing ? Promise.reject(new Error("broken")) : inner.step(runs),
    readState: (slot) => inner.readState(slot),
    writeState: (slot, state) => inner.writeState(slot, state),
    copyState: (from, to) => inner.copyState(from, to),
    close: () => inner.close(),
  };
  const scheduler = new Scheduler(new CpuSamplingEngine(faulty));
  await assert.rejects(run(scheduler, turnRequest([1])), /broken/);
  failing = false;
  assert.equal((await run(scheduler, turnRequest([1]))).tokens.length, 12);
});
