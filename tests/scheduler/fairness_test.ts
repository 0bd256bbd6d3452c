/** Tenants share slots, queue and time; a preempted turn continues as if it had kept its slot. */

import assert from "node:assert/strict";
import type { TokenConstraint } from "../../src/core/sampling.ts";
import { CpuSamplingEngine } from "../../src/scheduler/cpu_sampling.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import type { GenerationRequest } from "../../src/scheduler/scheduler_types.ts";
import { collect, cpuEngine, engine, run, TOKENS, turnRequest } from "./fixtures.ts";

/** Long enough for several preemptions. */
const LONG = 400;

/** Runs `turn` alone, then in one slot while other keys submit turns continuously. */
async function runAloneAndPreempted(
  turn: () => GenerationRequest,
  create = () => engine(1),
) {
  const alone = await run(new Scheduler(await create()), turn());
  // The clock runs fast, so that slots change hands often.
  let now = 0;
  const scheduler = new Scheduler(await create(), { clock: () => now += 200 });
  const suspended = run(scheduler, { ...turn(), fairnessKey: "long" });
  let ended = false;
  suspended.finally(() => ended = true);
  for (let i = 0; !ended; i++) {
    const short = await run(
      scheduler,
      turnRequest([1 + i % 9], { fairnessKey: `short-${i % 3}`, maxTokens: 5 }),
    );
    assert.equal(short.tokens.length, 5);
  }
  return { alone, suspended: await suspended, preempted: scheduler.snapshot.preemptions };
}

Deno.test("a preempted turn gives the same tokens and state as an undisturbed one", async () => {
  const it = await runAloneAndPreempted(() => turnRequest([3, 1, 4], { maxTokens: LONG }));
  assert.ok(it.preempted >= 5, `${it.preempted} times`);
  assert.deepEqual(it.suspended, it.alone);
});

Deno.test("a turn may be preempted during prefill", async () => {
  const prompt = Array.from({ length: 600 }, (_, i) => (i * 13) % 50);
  const it = await runAloneAndPreempted(() => turnRequest(prompt, { maxTokens: 20 }));
  assert.ok(it.preempted >= 5, `${it.preempted} times`);
  assert.deepEqual(it.suspended, it.alone);
});

Deno.test("finds stop strings across a preemption", async () => {
  const { tokens } = await run(
    new Scheduler(await engine()),
    turnRequest([4], { maxTokens: LONG }),
  );
  // These eight consecutive tokens occur once in the reply.
  for (const at of [100, 101, 102, 103, 200, 300]) {
    const stop = new TextEncoder().encode(tokens.slice(at - 8, at).map((id) => `<${id}>`).join(""));
    const stops = { strings: [stop], precedingBytes: new Uint8Array(), unsearchedBytes: 0 };
    const it = await runAloneAndPreempted(() => turnRequest([4], { maxTokens: LONG, stops }));
    assert.ok(it.preempted >= 2);
    assert.deepEqual([it.suspended.reason, it.suspended.tokens.length], ["stop", at]);
    assert.deepEqual(it.suspended, it.alone);
  }
});

Deno.test("constraints and log probabilities continue across a preemption", async () => {
  // Tokens must increase by one or start over.
  const constrain = (): Promise<TokenConstraint> => {
    let last = 5;
    return Promise.resolve({
      tokenBitmask: () => {
        const bits = new Int32Array(2);
        for (const id of [last % 49 + 1, 7]) bits[id >> 5] |= 1 << (id & 31);
        return Promise.resolve(bits);
      },
      accept: (token) => void (last = token),
      close: () => {},
    });
  };
  const it = await runAloneAndPreempted(
    () => turnRequest([4], { maxTokens: 100, constraint: { type: "json_object" }, logprobs: 2 }),
    async () => new CpuSamplingEngine(await cpuEngine(1), TOKENS, { createConstraint: constrain }),
  );
  assert.ok(it.preempted >= 3, `${it.preempted} times`);
  assert.deepEqual(it.suspended, it.alone);
});

Deno.test("a key with every slot gives half of them to another key and gets them back", async () => {
  const scheduler = new Scheduler(await engine(4));
  const busy = scheduler.submitAll(
    Array.from(
      { length: 8 },
      (_, i) => turnRequest([5], { fairnessKey: "busy", maxTokens: LONG, position: i }),
    ),
  );
  const iterator = busy[3][Symbol.asyncIterator]();
  await iterator.next();
  const others = scheduler.submitAll(
    Array.from({ length: 3 }, () => turnRequest([6], { fairnessKey: "other", maxTokens: 8 })),
  );
  await Promise.all(others.map(({ finished }) => finished));
  assert.ok(busy.every(({ queuedMs }, i) => i > 3 || queuedMs !== null));
  const { preemptions } = scheduler.snapshot;
  assert.ok(preemptions >= 1 && preemptions <= 3, `${preemptions} times`);
  const ends = await Promise.all(busy.map(({ finished }) => finished));
  assert.deepEqual(new Set(ends.map(({ sampledTokens }) => sampledTokens)), new Set([LONG]));
  assert.equal(scheduler.snapshot.turnsEnded, 11);
});

Deno.test("a single key may use every slot and the whole queue", async () => {
  const scheduler = new Scheduler(await engine(2), { maxQueue: 3 });
  const submit = (key: string) =>
    scheduler.submit(turnRequest([5], { fairnessKey: key, maxTokens: LONG }));
  const busy = [submit("busy"), submit("busy"), submit("busy")];
  await busy[0][Symbol.asyncIterator]().next();
  busy.push(submit("busy"), submit("busy"));
  assert.throws(() => submit("busy"), {
    code: "overloaded",
    message: /Queue is full \(3 requests/,
  });
  assert.equal(scheduler.snapshot.preemptions, 0);
  // Another key still has its share, and no more.
  const other = [submit("other")];
  assert.throws(() => submit("other"), { code: "overloaded" });
  await Promise.all([...busy, ...other].map(({ finished }) => finished));
});

Deno.test("a request with several choices counts once in the queue", async () => {
  const scheduler = new Scheduler(await engine(1), { maxQueue: 2 });
  const submit = () => scheduler.submitAll(Array.from({ length: 5 }, () => turnRequest([5])));
  const all = [submit()];
  await all[0][0][Symbol.asyncIterator]().next();
  // Four choices of the first request, and another request.
  all.push(submit());
  assert.throws(submit, { code: "overloaded" });
  const ends = await Promise.all(all.flat().map(({ finished }) => finished));
  assert.equal(ends.length, 10);
});

Deno.test("a preempted turn that is cancelled or timed out ends with its tokens so far", async () => {
  for (const why of ["cancelled", "timeout"] as const) {
    let now = 0;
    const scheduler = new Scheduler(await engine(1), { clock: () => now += 200 });
    const controller = new AbortController();
    const long = scheduler.submit(turnRequest([3], {
      fairnessKey: "long",
      maxTokens: 10_000,
      signal: controller.signal,
      timeoutMs: why === "timeout" ? 20_000 : Infinity,
    }));
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { tokens } of long) seen.push(...tokens);
    })();
    const other = run(scheduler, turnRequest([8], { fairnessKey: "other", maxTokens: 2000 }));
    while (scheduler.snapshot.preemptions === 0) await Promise.resolve();
    if (why === "cancelled") controller.abort();
    const { reason, state, pendingTokens, sampledTokens } = await long.finished;
    await reading;
    assert.deepEqual([reason, sampledTokens], [why, seen.length]);
    assert.deepEqual(pendingTokens, seen.slice(-1));
    const until = await run(
      new Scheduler(await engine(1)),
      turnRequest([3], { maxTokens: sampledTokens }),
    );
    assert.deepEqual([until.tokens, until.state], [seen, state]);
    await other;
  }
});

Deno.test("with slow steps, a key with one turn is not slowed down by a key with many", async () => {
  // Each token takes a millisecond: the time of a step is proportional to its turns.
  let now = 0;
  const inner = await cpuEngine(9);
  const slow = new CpuSamplingEngine({
    info: inner.info,
    step: (runs) => {
      now += runs.reduce((sum, { tokens }) => sum + tokens.length, 0);
      return inner.step(runs);
    },
    readState: (slot) => inner.readState(slot),
    writeState: (slot, state) => inner.writeState(slot, state),
    copyState: (from, to) => inner.copyState(from, to),
    close: () => inner.close(),
  }, TOKENS);
  const scheduler = new Scheduler(slow, { clock: () => now });
  const busy = Array.from({ length: 8 }, () => {
    return scheduler.submit(turnRequest([5], { fairnessKey: "busy", maxTokens: 2000 }));
  });
  await busy[0][Symbol.asyncIterator]().next();
  for (let i = 0; i < 5; i++) {
    const start = now;
    const { sampledTokens } = await scheduler.submit(
      turnRequest([6], { fairnessKey: "other", maxTokens: 40 }),
    )
      .finished;
    assert.equal(sampledTokens, 40);
    assert.ok(now - start <= 2 * 40 + 60, `${now - start} ms for 40 tokens`);
  }
  // Long turns get half of the time each.
  const start = now;
  const long = await collect(
    scheduler.submit(turnRequest([6], { fairnessKey: "other", maxTokens: 1000 })),
  );
  assert.equal(long.sampledTokens, 1000);
  const took = now - start;
  assert.ok(took >= 1700 && took <= 2300, `${took} ms for 1000 tokens`);
  await Promise.all(busy.map(({ finished }) => finished));
});
