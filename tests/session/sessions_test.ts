/** Turns over the toy model: what they process, display, store and resume. */

import assert from "node:assert/strict";
import type { Message } from "../../src/prompt/chat_template.ts";
import { harness, ids, MODEL, rejects, run, stored, tokenizer, toyStep, user } from "./fixtures.ts";

Deno.test("a turn processes the prompt, returns the reply and stores the state", async () => {
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
  const { state, snapshot, open } = await stored(it, result.stateId);
  assert.equal(open, false);
  assert.deepEqual(state, toyStep(null, [...prompt, ...script.slice(0, -1)]));
  assert.deepEqual(snapshot.pending, script.slice(-1));
  assert.equal(snapshot.processedTokens, prompt.length + script.length - 1);
  assert.equal(snapshot.position, script.length);
  assert.equal(snapshot.seed, 7n);
  assert.deepEqual(snapshot.transcript, [
    { role: "user", content: "hi" },
    { role: "assistant", content: "Hello wörld." },
  ]);
});

Deno.test("a resumed turn processes only pending tokens and the new prompt", async () => {
  const first = ids(" Hello", 0);
  const it = harness({ script: [...first, ...ids(" b", 0)] });
  const one = await run(it.sessions, { messages: [user("hi")], seed: 1n });
  const two = await run(it.sessions, { messages: [user("more")], stateId: one.stateId });
  const [, work] = it.runner.works;
  assert.equal(tokenizer.decode(work.tokens as number[]), "\n\nUser: more\n\nAssistant:");
  assert.ok(!work.tokens.includes(0));
  assert.equal(work.position, first.length);
  const { processedTokens } = (await stored(it, one.stateId)).snapshot;
  assert.equal(two.usage.prompt_tokens_details.cached_tokens, processedTokens);
  assert.equal(two.usage.prompt_tokens, processedTokens + work.tokens.length);
  const { state, snapshot } = await stored(it, two.stateId);
  const all = "User: hi\n\nAssistant: Hello\n\nUser: more\n\nAssistant: b";
  assert.deepEqual(state, toyStep(null, tokenizer.encode(all)));
  const { transcript } = await it.sessions.describe(two.stateId);
  assert.deepEqual(transcript.map(({ content }) => content), ["hi", "Hello", "more", "b"]);
  // Earlier messages are in the history.
  assert.deepEqual(snapshot.transcript, transcript.slice(2));
  assert.equal(snapshot.earlier!.count, 2);
  // The parent is unchanged: a fork of the conversation.
  const fork = await run(it.sessions, { messages: [user("more")], stateId: one.stateId });
  assert.notEqual(fork.stateId, two.stateId);
  assert.deepEqual((await stored(it, fork.stateId)).state, state);
});

Deno.test("a reply that is interrupted anywhere and resumed equals an uninterrupted one", async () => {
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
      const { state, snapshot, open } = await stored(it, result.stateId);
      assert.deepEqual(state, end.state);
      assert.deepEqual(snapshot, end.snapshot);
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

Deno.test("rejects a request without anything to reply to", async () => {
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

Deno.test("rejects a prompt that is too long, stating both numbers", async () => {
  const { sessions } = harness({ limits: { promptTokens: 10 } });
  const message = /the prompt has \d\d tokens, the limit of a request is 10/;
  await rejects(
    run(sessions, { messages: [user("a longer one")] }),
    "context_length_exceeded",
    message,
  );
});

Deno.test("tokenizes only the beginning of a far too long prompt", async () => {
  const it = harness({ limits: { promptTokens: 10 } });
  const message = (param: string) =>
    new RegExp(`^${param}: the prompt has more than 20 tokens, the limit of a request is 10;`);
  const far = "x".repeat(1000);
  const system: Message = { role: "system", content: far };
  for (const messages of [[user(far)], [system, user("hi")], Array(20).fill(user("hi"))]) {
    await rejects(
      run(it.sessions, { messages }),
      "context_length_exceeded",
      message("messages"),
    );
  }
  await rejects(
    run(it.sessions, { messages: [], prompt: far }),
    "context_length_exceeded",
    message("prompt"),
  );
  assert.deepEqual(it.runner.works, []);
});

Deno.test("passes custom stop strings and limits to the runner", async () => {
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

Deno.test("penalty counts continue across turns", async () => {
  const it = harness({ script: ids(" aa", 0, ...ids("b"), 0) });
  const one = await run(it.sessions, { messages: [user("hi")] });
  await run(it.sessions, { messages: [user("more")], stateId: one.stateId });
  const { counts } = (await stored(it, one.stateId)).snapshot;
  assert.equal(counts.get(1 + 97), 2);
  assert.equal(it.runner.works[1].counts.get(1 + 97), 2);
  assert.equal(it.runner.works[1].counts.get(0), 2);
});

Deno.test("the seed comes from the request, the open turn or the random source", async () => {
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

Deno.test("describes and deletes a state", async () => {
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
    messageCount: 2,
    hasMore: false,
    transcript: [{ role: "user", content: "a" }, { role: "assistant", content: "b" }],
  });
  await it.sessions.delete(stateId);
  await rejects(it.sessions.describe(stateId), "state_not_found");
});

Deno.test("settled waits for turns that no caller awaits", async () => {
  const it = harness({ script: ids(" abcdefgh", 0) });
  const turn = await it.sessions.start({ messages: [user("hi")], stream: true });
  await it.sessions.settled();
  assert.equal((await stored(it, turn.stateId)).open, false);
});
