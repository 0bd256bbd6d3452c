/** Streamed, cancelled and failed turns: their events and what they leave in the store. */

import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import type { Generation, GenerationRequest } from "../../src/scheduler/scheduler_types.ts";
import { MemoryBackend } from "../../src/store/backends/memory.ts";
import { decodeState, readStateHeader } from "../../src/store/states/state_codec.ts";
import { collect, harness, ids, MODEL, rejects, run, stored, toyStep, user } from "./fixtures.ts";

Deno.test("events are the text, then the end after the state is stored", async () => {
  const it = harness({ script: ids(" a€b", 0) });
  const turn = await it.sessions.start({ messages: [user("hi")], stream: true });
  const events = await collect(turn.events());
  assert.deepEqual(events.slice(0, -1), ["a", "€", "b"].map((text) => ({ type: "text", text })));
  const { type, ...end } = events[events.length - 1];
  assert.equal(type, "end");
  assert.deepEqual({ ...end, text: "a€b" }, await turn.result());
  assert.equal((await stored(it, turn.stateId)).open, false);
});

Deno.test("a streamed turn can be resumed before its first text", async () => {
  const gate = Promise.withResolvers<void>();
  const one = harness({ before: () => gate.promise });
  const turn = await one.sessions.start({ messages: [user("hi")], seed: 5n, stream: true });
  const provisional = await stored(one, turn.stateId);
  assert.equal(provisional.state, null);
  assert.ok(provisional.open);
  assert.deepEqual(provisional.snapshot.transcript[1], { role: "assistant", content: "" });
  // A second process continues after the first one has ended.
  const two = harness({ backend: one.backend });
  const resumed = await run(two.sessions, { messages: [], stateId: turn.stateId! });
  gate.resolve();
  const original = await turn.result();
  assert.equal(resumed.text, original.text);
  assert.deepEqual(
    (await stored(two, resumed.stateId)).state,
    (await stored(one, turn.stateId)).state,
  );
});

Deno.test("the initial state of a resumed conversation starts from its parent", async () => {
  const it = harness();
  const one = await run(it.sessions, { messages: [user("hi")], seed: 5n });
  const parent = await stored(it, one.stateId);
  const gate = Promise.withResolvers<void>();
  const slow = harness({ backend: it.backend, before: () => gate.promise });
  const request = { messages: [user("on")], stateId: one.stateId, seed: 6n, stream: true };
  const turn = await slow.sessions.start(request);
  const { state, snapshot } = await stored(it, turn.stateId);
  assert.deepEqual(state, parent.state);
  assert.deepEqual(snapshot.pending, slow.runner.works[0].tokens);
  await it.sessions.delete(one.stateId);
  const resumed = await run(it.sessions, { messages: [], stateId: turn.stateId! });
  gate.resolve();
  assert.equal(resumed.text, (await turn.result()).text);
});

Deno.test("a cancelled stream is stored and can be continued", async () => {
  const expected = await run(harness({ script: ids(" abcdefgh", 0) }).sessions, {
    messages: [user("hi")],
  });
  for (const at of [0, 1, 4]) {
    const abort = new AbortController();
    const before = (sampled: number) => {
      if (sampled === at) abort.abort();
    };
    const it = harness({ script: ids(" abcdefgh", 0), before });
    const request = { messages: [user("hi")], stream: true };
    const turn = await it.sessions.start(request, abort.signal).catch(() => null);
    if (turn === null) continue; // cancelled before it started
    const unfinished = await turn.result();
    assert.equal(unfinished.finishReason, "length");
    assert.ok((await stored(it, turn.stateId)).open);
    const next = harness({ script: ids(" abcdefgh", 0), backend: it.backend });
    const rest = await run(next.sessions, { messages: [], stateId: turn.stateId! });
    assert.equal(unfinished.text + rest.text, expected.text);
  }
});

Deno.test("a cancelled turn can be resumed immediately", async () => {
  const before = () => new Promise<void>((resolve) => setTimeout(resolve, 2));
  const it = harness({ script: ids(" abcdefgh", 0), before });
  const turn = await it.sessions.start({ messages: [user("hi")], stream: true });
  let displayed = "";
  for await (const event of turn.events()) {
    if (event.type === "text") displayed += event.text;
    if (displayed.length >= 3) break;
  }
  turn.cancel();
  const rest = await run(it.sessions, { messages: [], stateId: turn.stateId! });
  assert.equal((await turn.result()).text + rest.text, "abcdefgh");
});

Deno.test("a cancelled turn without streaming stores nothing", async () => {
  const abort = new AbortController();
  const before = (sampled: number) => void (sampled === 2 && abort.abort());
  const it = harness({ script: ids(" abcdefgh", 0), before });
  const turn = await it.sessions.start({ messages: [user("hi")] }, abort.signal);
  await rejects(turn.result(), "cancelled");
  assert.equal((it.backend as MemoryBackend).size, 0);
  await rejects(it.sessions.start({ messages: [user("hi")] }, abort.signal), "cancelled");
});

Deno.test("an engine failure ends the events and leaves the initial state", async () => {
  const before = (sampled: number) => {
    if (sampled === 2) throw new InferenceError("device_lost", "The device is gone");
  };
  const it = harness({ before });
  const turn = await it.sessions.start({ messages: [user("hi")], seed: 3n, stream: true });
  await rejects(collect(turn.events()), "device_lost");
  await rejects(turn.result(), "device_lost");
  const well = harness({ backend: it.backend });
  const resumed = await run(well.sessions, { messages: [], stateId: turn.stateId! });
  const expected = await run(harness().sessions, { messages: [user("hi")], seed: 3n });
  assert.equal(resumed.text, expected.text);
});

Deno.test("a rejected turn stores nothing", async () => {
  const it = harness();
  it.runner.submit = () => {
    throw new InferenceError("overloaded", "Too many turns");
  };
  await rejects(it.sessions.start({ messages: [user("hi")], stream: true }), "overloaded");
  const states = it.backend.list(["default"]);
  for await (const { key } of states) assert.fail(`found ${key}`);
});

Deno.test("turns that end before any step keep their initial state, if they have one", async () => {
  const it = harness();
  const parent = await run(it.sessions, { messages: [user("hi")], seed: 5n });
  const ended = (reason: "timeout" | "cancelled") => (works: readonly GenerationRequest[]) =>
    works.map((work): Generation => ({
      finished: Promise.resolve({
        reason,
        state: null,
        pendingTokens: [...work.tokens],
        sampledTokens: 0,
      }),
      queuedMs: null,
      keepWarm: () => {},
      async *[Symbol.asyncIterator]() {},
    }));
  const request = { messages: [user("on")], stateId: parent.stateId };
  for (const reason of ["timeout", "cancelled"] as const) {
    const stopped = harness({ backend: it.backend });
    stopped.runner.submitAll = ended(reason);
    const plain = await stopped.sessions.start(request);
    stopped.sessions.interrupt();
    await rejects(plain.result(), reason === "timeout" ? "overloaded" : "shutting_down");
    const turn = await stopped.sessions.start({ ...request, stream: true });
    stopped.sessions.interrupt();
    if (reason === "cancelled") await rejects(turn.result(), "shutting_down");
    else assert.equal((await turn.result()).finishReason, "length");
    const [begun, before] = await Promise.all([
      stored(it, turn.stateId),
      stored(it, parent.stateId),
    ]);
    assert.ok(begun.open);
    assert.deepEqual(begun.state, before.state);
  }
});

Deno.test("on shutdown a stream is stored and can be continued; a turn without streaming fails", async () => {
  const script = ids(" abcdefgh", 0);
  const start = async (stream: boolean) => {
    const before = (sampled: number) => {
      if (sampled === 3) it.sessions.interrupt();
    };
    const it = harness({ script, before });
    return { it, turn: await it.sessions.start({ messages: [user("hi")], stream }) };
  };
  const { it, turn } = await start(true);
  // The client gets an error with the state, so it does not mistake the beginning for the reply.
  let text = "";
  await assert.rejects(async () => {
    for await (const event of turn.events()) if (event.type === "text") text += event.text;
  }, (error) => {
    assert.ok(error instanceof InferenceError);
    assert.deepEqual([error.code, error.stateId], ["shutting_down", turn.stateId]);
    return true;
  });
  assert.equal(text, "ab");
  await rejects(turn.result(), "shutting_down");
  const resumed = harness({ script, backend: it.backend }).sessions;
  const rest = await run(resumed, { messages: [], stateId: turn.stateId! });
  assert.equal(rest.text, "cdefgh");

  // The client has received no id of this turn and retries on another worker.
  const whole = await start(false);
  await rejects(whole.turn.result(), "shutting_down");
  for await (const { key } of whole.it.backend.list(["default"])) assert.fail(`found ${key}`);
});

Deno.test("the runner keeps a state warm under the key of its next use", async () => {
  const it = harness();
  for (const stream of [false, true]) {
    const one = await run(it.sessions, { messages: [user("hi")], stream });
    await run(it.sessions, { messages: [user("on")], stateId: one.stateId });
    assert.equal(it.runner.works.at(-1)!.state!.stateKey, it.runner.warmStateKeys.at(-2));
  }
  // A running turn stores its parent's state under the parent's key.
  const gate = Promise.withResolvers<void>();
  const slow = harness({ backend: it.backend, before: () => gate.promise });
  const parent = await run(it.sessions, { messages: [user("hi")] });
  const turn = await slow.sessions.start({
    messages: [user("on")],
    stateId: parent.stateId,
    stream: true,
  });
  await run(it.sessions, { messages: [], stateId: turn.stateId! });
  assert.equal(it.runner.works.at(-1)!.state!.stateKey, it.runner.warmStateKeys.at(-2));
  gate.resolve();
  await turn.result();
});

Deno.test("a finished turn continues from its stored encoding; an unfinished one is stored exactly", async () => {
  const script = ids(" abcdefgh", 0);
  for (const codec of ["f32", "f16", "q8"] as const) {
    const it = harness({ script, model: { ...MODEL, codec } });
    const unfinished = await run(it.sessions, { messages: [user("hi")], maxTokens: 4 });
    assert.equal(it.runner.replacedStates.size, 0);
    const exact = await stored(harness({ backend: it.backend }), unfinished.stateId);
    const prompt = toyStep(null, ids("User: hi\n\nAssistant:").concat(ids(" abc").slice(0, 3)));
    assert.deepEqual(exact.state, prompt);
    const rest = await run(it.sessions, { messages: [], stateId: unfinished.stateId });
    assert.equal(unfinished.text + rest.text, "abcdefgh");
    const { info, state } = await it.store.load(rest.stateId, { model: MODEL });
    assert.equal(readStateHeader(state!).codec, codec);
    const held = decodeState(state!);
    assert.deepEqual(
      it.runner.replacedStates.get(info.state!.id),
      codec === "f32" ? undefined : held,
    );
  }
});

Deno.test("several choices start together or not at all", async () => {
  const it = harness();
  const parent = await run(it.sessions, { messages: [user("hi")] });
  const begin = it.store.begin.bind(it.store);
  const begun: string[] = [];
  let failures = 1;
  it.store.begin = async (from, turn, options) => {
    if (begun.length === 2 && failures-- > 0) {
      throw new InferenceError("state_not_found", "deleted");
    }
    begun.push(options.id);
    return await begin(from, turn, options);
  };
  const request = { messages: [user("on")], stateId: parent.stateId, stream: true };
  await rejects(it.sessions.startAll(request, 3), "state_not_found");
  for (const { signal } of it.runner.works.slice(1)) assert.ok(signal!.aborted);
  for (const id of begun) await rejects(it.store.inspect(id), "state_not_found");
  const turns = await it.sessions.startAll(request, 3);
  const results = await Promise.all(turns.map((turn) => turn.result()));
  assert.equal(new Set(results.map(({ stateId }) => stateId)).size, 3);
});
