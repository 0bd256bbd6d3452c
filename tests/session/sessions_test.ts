/** Turns over the toy model: what is fed, shown, stored, and resumed. */

import assert from "node:assert/strict";
import { type ErrorCode, InferenceError } from "../../src/core/errors.ts";
import type { TurnEvent, TurnRequest, TurnResult } from "../../src/session/session_types.ts";
import type { Sessions } from "../../src/session/sessions.ts";
import { decodeState } from "../../src/store/state_codec.ts";
import { decodeRecord } from "../../src/session/turn_record.ts";
import { feed, type Harness, harness, ids, MODEL, tokenizer, user } from "./fixtures.ts";

async function run(sessions: Sessions, request: TurnRequest): Promise<TurnResult> {
  const turn = await sessions.start(request);
  return await turn.result();
}

async function collect(events: AsyncIterable<TurnEvent>): Promise<TurnEvent[]> {
  const collected: TurnEvent[] = [];
  for await (const event of events) collected.push(event);
  return collected;
}

async function stored({ store }: Harness, id: string) {
  const { state, turn, open } = await store.load(id, { model: MODEL });
  return { state: state && decodeState(state), record: decodeRecord(turn), open };
}

function rejects(promise: Promise<unknown>, code: ErrorCode, message = /./): Promise<void> {
  return assert.rejects(
    promise,
    (error) =>
      error instanceof InferenceError && error.code === code && message.test(error.message),
  );
}

Deno.test("a turn feeds the prompt, shows the reply, and stores the state", async () => {
  const script = ids(" Hello wörld.\n\n");
  const it = harness({ script });
  const { sessions, runner } = it;
  const result = await run(sessions, { messages: [user("hi")], seed: 7n });
  assert.equal(result.text, "Hello wörld.");
  assert.equal(result.finishReason, "stop");
  const prompt = ids("User: hi\n\nAssistant:");
  assert.deepEqual(runner.works[0].tokens, prompt);
  assert.equal(runner.works[0].state, null);
  assert.deepEqual(result.usage, {
    prompt_tokens: prompt.length,
    completion_tokens: script.length,
    total_tokens: prompt.length + script.length,
    prompt_tokens_details: { cached_tokens: 0 },
  });
  const { state, record, open } = await stored(it, result.stateId);
  assert.equal(open, false);
  assert.deepEqual(state, feed(null, [...prompt, ...script.slice(0, -1)]));
  assert.deepEqual(record.pending, script.slice(-1));
  assert.equal(record.absorbed, prompt.length + script.length - 1);
  assert.equal(record.position, script.length);
  assert.equal(record.seed, 7n);
  assert.deepEqual(record.transcript, [
    { role: "user", content: "hi" },
    { role: "assistant", content: "Hello wörld." },
  ]);
});

Deno.test("a resumed turn feeds what is pending and the new prompt, and nothing again", async () => {
  const first = ids(" Hello", 0);
  const it = harness({ script: [...first, ...ids(" b", 0)] });
  const one = await run(it.sessions, { messages: [user("hi")], seed: 1n });
  const two = await run(it.sessions, { messages: [user("more")], stateId: one.stateId });
  const [, work] = it.runner.works;
  assert.equal(tokenizer.decode(work.tokens as number[]), "\n\nUser: more\n\nAssistant:");
  assert.ok(!work.tokens.includes(0));
  assert.equal(work.position, first.length);
  const { absorbed } = (await stored(it, one.stateId)).record;
  assert.equal(two.usage.prompt_tokens_details.cached_tokens, absorbed);
  assert.equal(two.usage.prompt_tokens, absorbed + work.tokens.length);
  const { state, record } = await stored(it, two.stateId);
  const all = "User: hi\n\nAssistant: Hello\n\nUser: more\n\nAssistant: b";
  assert.deepEqual(state, feed(null, tokenizer.encode(all)));
  assert.deepEqual(record.transcript.map(({ content }) => content), ["hi", "Hello", "more", "b"]);
  // The parent is as it was: a fork of the conversation.
  const fork = await run(it.sessions, { messages: [user("more")], stateId: one.stateId });
  assert.notEqual(fork.stateId, two.stateId);
  assert.deepEqual((await stored(it, fork.stateId)).state, state);
});

Deno.test("a reply cut anywhere and resumed is the reply that was never cut", async () => {
  for (let seed = 0n; seed < 25n; seed++) {
    const whole = harness();
    const request = { messages: [user("tell")], seed, maxTokens: 40 };
    const expected = await run(whole.sessions, request);
    const end = await stored(whole, expected.stateId);
    for (const piece of [1, 2, 3, 7]) {
      let it = harness();
      let result = await run(it.sessions, { ...request, maxTokens: piece });
      let text = result.text;
      let sampled = piece;
      while (result.finishReason === "length" && sampled < 40) {
        it = harness({ backend: it.backend }); // another process
        const maxTokens = Math.min(piece, 40 - sampled);
        result = await run(it.sessions, { messages: [], stateId: result.stateId, maxTokens });
        text += result.text;
        sampled += maxTokens;
      }
      assert.equal(text, expected.text);
      const { state, record, open } = await stored(it, result.stateId);
      assert.deepEqual(state, end.state);
      assert.deepEqual(record, end.record);
      assert.equal(open, end.open);
    }
  }
});

Deno.test("an open turn is closed before a new message", async () => {
  for (const [reply, closing] of [[" He", "\n\n"], [" H\n", "\n"]]) {
    const it = harness({ script: ids(reply) });
    const maxTokens = ids(reply).length;
    const one = await run(it.sessions, { messages: [user("hi")], maxTokens });
    assert.equal(one.finishReason, "length");
    assert.ok((await stored(it, one.stateId)).open);
    await run(it.sessions, { messages: [user("so")], stateId: one.stateId });
    const last = reply.slice(-1);
    assert.equal(
      tokenizer.decode(it.runner.works[1].tokens as number[]),
      `${last}${closing}User: so\n\nAssistant:`,
    );
  }
});

Deno.test("what there is nothing to reply to is refused", async () => {
  const it = harness({ script: ids(" b", 0) });
  await rejects(run(it.sessions, { messages: [] }), "invalid_value", /new conversation/);
  const { stateId } = await run(it.sessions, { messages: [user("a")] });
  await rejects(run(it.sessions, { messages: [], stateId }), "invalid_value", /is complete/);
  await rejects(run(it.sessions, { messages: [], stateId: "x" }), "state_not_found");
  await rejects(
    run(it.sessions, { messages: [user("a")], stateId: it.store.newId() }),
    "state_not_found",
  );
  const other = harness({ backend: it.backend, model: { ...MODEL, fingerprint: "other" } });
  await rejects(run(other.sessions, { messages: [user("a")], stateId }), "model_mismatch");
});

Deno.test("a prompt too long is refused with both numbers", async () => {
  const { sessions } = harness({ limits: { promptTokens: 10 } });
  const message = /the prompt has \d\d tokens, one request may have at most 10/;
  await rejects(
    run(sessions, { messages: [user("a longer one")] }),
    "context_length_exceeded",
    message,
  );
});

Deno.test("custom stops and limits reach the runner", async () => {
  const it = harness({
    script: ids(" ab stop c", 0),
    limits: { maxTokens: 30, defaultMaxTokens: 20 },
    sampling: { topP: 0.5 },
  });
  const result = await run(it.sessions, {
    messages: [user("hi")],
    stop: ["b st"],
    sampling: { temperature: 0.3 },
  });
  assert.equal(result.text, "a");
  assert.equal(result.finishReason, "stop");
  const [{ maxTokens, sampling, stops, endToken }] = it.runner.works;
  assert.equal(maxTokens, 20);
  assert.equal(sampling.temperature, 0.3);
  assert.equal(sampling.topP, 0.5);
  assert.equal(endToken, 0);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.deepEqual(stops!.strings.map(text), ["\n\n", "b st"]);
  await run(it.sessions, { messages: [user("hi")], maxTokens: 1000 });
  assert.equal(it.runner.works[1].maxTokens, 30);
  await rejects(
    run(it.sessions, {
      messages: [user("hi")],
      sampling: { logitBias: new Map([[MODEL.vocabulary, 1]]) },
    }),
    "invalid_value",
    /token 272 does not exist/,
  );
  await rejects(
    run(it.sessions, { messages: [user("hi")], stop: ["x".repeat(2047)] }),
    "invalid_value",
    /2049 bytes/,
  );
});

Deno.test("penalty counts are carried on", async () => {
  const it = harness({ script: ids(" aa", 0, ...ids("b"), 0) });
  const one = await run(it.sessions, { messages: [user("hi")] });
  await run(it.sessions, { messages: [user("more")], stateId: one.stateId });
  const { counts } = (await stored(it, one.stateId)).record;
  assert.equal(counts.get(1 + 97), 2);
  assert.equal(it.runner.works[1].counts.get(1 + 97), 2);
  assert.equal(it.runner.works[1].counts.get(0), 2);
});

Deno.test("seeds: the request's, the open turn's, or a fresh one", async () => {
  const it = harness({ script: ids(" abcdef", 0) });
  const one = await run(it.sessions, { messages: [user("hi")], maxTokens: 1 });
  const seeds = () => it.runner.works.map(({ sampling }) => sampling.seed);
  const two = await run(it.sessions, { messages: [], stateId: one.stateId, maxTokens: 1 });
  assert.equal(seeds()[1], seeds()[0]);
  const three = await run(it.sessions, { messages: [], stateId: two.stateId, seed: 9n });
  assert.equal(seeds()[2], 9n);
  await run(it.sessions, { messages: [user("x")], stateId: three.stateId });
  assert.equal(new Set(seeds()).size, 3);
});

Deno.test("events are the text and the end, after the state is stored", async () => {
  const it = harness({ script: ids(" a€b", 0) });
  const turn = await it.sessions.start({ messages: [user("hi")], stream: true });
  const events = await collect(turn.events());
  assert.deepEqual(events.slice(0, -1), ["a", "€", "b"].map((text) => ({ type: "text", text })));
  const { type, ...end } = events[events.length - 1];
  assert.equal(type, "end");
  assert.deepEqual({ ...end, text: "a€b" }, await turn.result());
  assert.equal((await stored(it, turn.stateId)).open, false);
});

Deno.test("a streamed turn can be resumed before it has written a word", async () => {
  const gate = Promise.withResolvers<void>();
  const one = harness({ before: () => gate.promise });
  const turn = await one.sessions.start({ messages: [user("hi")], seed: 5n, stream: true });
  const provisional = await stored(one, turn.stateId);
  assert.equal(provisional.state, null);
  assert.ok(provisional.open);
  assert.deepEqual(provisional.record.transcript[1], { role: "assistant", content: "" });
  // This process is gone; another one goes on.
  const two = harness({ backend: one.backend });
  const resumed = await run(two.sessions, { messages: [], stateId: turn.stateId });
  gate.resolve();
  const original = await turn.result();
  assert.equal(resumed.text, original.text);
  assert.deepEqual(
    (await stored(two, resumed.stateId)).state,
    (await stored(one, turn.stateId)).state,
  );
});

Deno.test("a provisional turn of a resumed conversation starts from its parent", async () => {
  const it = harness();
  const one = await run(it.sessions, { messages: [user("hi")], seed: 5n });
  const parent = await stored(it, one.stateId);
  const gate = Promise.withResolvers<void>();
  const slow = harness({ backend: it.backend, before: () => gate.promise });
  const request = { messages: [user("on")], stateId: one.stateId, seed: 6n, stream: true };
  const turn = await slow.sessions.start(request);
  const { state, record } = await stored(it, turn.stateId);
  assert.deepEqual(state, parent.state);
  assert.deepEqual(record.pending, slow.runner.works[0].tokens);
  await it.sessions.delete(one.stateId);
  const resumed = await run(it.sessions, { messages: [], stateId: turn.stateId });
  gate.resolve();
  assert.equal(resumed.text, (await turn.result()).text);
});

Deno.test("a cancelled stream is stored as far as it went, and goes on from there", async () => {
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
    if (turn === null) continue; // cancelled before it began
    const cut = await turn.result();
    assert.equal(cut.finishReason, "length");
    assert.ok((await stored(it, turn.stateId)).open);
    const next = harness({ script: ids(" abcdefgh", 0), backend: it.backend });
    const rest = await run(next.sessions, { messages: [], stateId: turn.stateId });
    assert.equal(cut.text + rest.text, expected.text);
  }
});

Deno.test("an id is resumed where its turn was stopped, even at once", async () => {
  const before = () => new Promise<void>((resolve) => setTimeout(resolve, 2));
  const it = harness({ script: ids(" abcdefgh", 0), before });
  const turn = await it.sessions.start({ messages: [user("hi")], stream: true });
  let shown = "";
  for await (const event of turn.events()) {
    if (event.type === "text") shown += event.text;
    if (shown.length >= 3) break;
  }
  turn.cancel();
  const rest = await run(it.sessions, { messages: [], stateId: turn.stateId });
  assert.equal((await turn.result()).text + rest.text, "abcdefgh");
});

Deno.test("a cancelled turn that is not streamed stores nothing", async () => {
  const abort = new AbortController();
  const before = (sampled: number) => void (sampled === 2 && abort.abort());
  const it = harness({ script: ids(" abcdefgh", 0), before });
  const turn = await it.sessions.start({ messages: [user("hi")] }, abort.signal);
  await rejects(turn.result(), "cancelled");
  await rejects(it.store.load(turn.stateId, { model: MODEL }), "state_not_found");
  await rejects(it.sessions.start({ messages: [user("hi")] }, abort.signal), "cancelled");
});

Deno.test("an engine's failure ends the events, and leaves the provisional state", async () => {
  const before = (sampled: number) => {
    if (sampled === 2) throw new InferenceError("device_lost", "The device is gone");
  };
  const it = harness({ before });
  const turn = await it.sessions.start({ messages: [user("hi")], seed: 3n, stream: true });
  await rejects(collect(turn.events()), "device_lost");
  await rejects(turn.result(), "device_lost");
  const well = harness({ backend: it.backend });
  const resumed = await run(well.sessions, { messages: [], stateId: turn.stateId });
  const expected = await run(harness().sessions, { messages: [user("hi")], seed: 3n });
  assert.equal(resumed.text, expected.text);
});

Deno.test("a refused turn leaves nothing behind", async () => {
  const it = harness();
  it.runner.submit = () => {
    throw new InferenceError("overloaded", "Too many turns");
  };
  await rejects(it.sessions.start({ messages: [user("hi")], stream: true }), "overloaded");
  const states = it.backend.list(["default"]);
  for await (const { key } of states) assert.fail(`found ${key}`);
});

Deno.test("a state describes itself, and can be deleted", async () => {
  const it = harness({ script: ids(" b", 0) });
  const { stateId } = await run(it.sessions, { messages: [user("a")] });
  const { created, expires, ...rest } = await it.sessions.describe(stateId);
  assert.ok(expires > created);
  assert.deepEqual(rest, {
    id: stateId,
    model: { id: "toy", fingerprint: "sha256:70f", quant: "int8" },
    bytes: rest.bytes,
    open: false,
    tokens: ids("User: a\n\nAssistant: b").length,
    pendingTokens: 1,
    transcript: [{ role: "user", content: "a" }, { role: "assistant", content: "b" }],
  });
  await it.sessions.delete(stateId);
  await rejects(it.sessions.describe(stateId), "state_not_found");
});

Deno.test("settled waits for turns that nobody waits for", async () => {
  const it = harness({ script: ids(" abcdefgh", 0) });
  const turn = await it.sessions.start({ messages: [user("hi")], stream: true });
  await it.sessions.settled();
  assert.equal((await stored(it, turn.stateId)).open, false);
});
