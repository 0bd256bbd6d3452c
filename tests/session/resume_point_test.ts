/** Resume points: conversations, full histories, and states of other models. */

import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import type { Message } from "../../src/prompt/chat_template.ts";
import type { TurnEvent } from "../../src/session/session_types.ts";
import type { Backend } from "../../src/store/backends/backend.ts";
import { MemoryBackend } from "../../src/store/backends/memory.ts";
import { type Harness, harness, ids, MODEL, rejects, run, stored, user } from "./fixtures.ts";

const SYSTEM: Message = {
  role: "system",
  content: "You are a helpful assistant who answers briefly.",
};

function assistant(content: string): Message {
  return { role: "assistant", content };
}

Deno.test("a turn resumes a conversation by its id", async () => {
  const it = harness();
  const { id } = await it.sessions.conversations.create();
  const one = await run(it.sessions, { messages: [user("hi")], conversation: id, seed: 1n });
  const two = await run(it.sessions, { messages: [user("on")], conversation: id, seed: 2n });
  const same = harness();
  const first = await run(same.sessions, { messages: [user("hi")], seed: 1n });
  const second = await run(same.sessions, {
    messages: [user("on")],
    stateId: first.stateId,
    seed: 2n,
  });
  assert.deepEqual([one.text, two.text], [first.text, second.text]);
  assert.equal((await it.sessions.conversations.get(id)).head, two.stateId);
  // A fork from any state is a separate conversation.
  const fork = await it.sessions.conversations.create({ stateId: one.stateId });
  const other = await run(it.sessions, { messages: [user("on")], conversation: fork.id, seed: 2n });
  assert.equal(other.text, two.text);
  await rejects(
    it.sessions.conversations.create({ stateId: `state_${"0".repeat(48)}` }),
    "state_not_found",
  );
  const both = { messages: [user("x")], conversation: id, stateId: one.stateId };
  await rejects(it.sessions.start(both), "invalid_value", /state_id/);
  const many = { messages: [user("x")], conversation: id };
  await rejects(it.sessions.startAll(many, 2), "invalid_value", /2 choices/);
  await rejects(
    it.sessions.start({ messages: [user("x")], conversation: "conv_x" }),
    "conversation_not_found",
  );
});

Deno.test("of two concurrent turns of a conversation one gets a conflict, and both replies are stored", async () => {
  for (const stream of [false, true]) {
    const gate = Promise.withResolvers<void>();
    const one = harness({ before: () => gate.promise });
    const two = harness({ backend: one.backend });
    const { id } = await one.sessions.conversations.create();
    const slow = await one.sessions.start({
      messages: [user("hi")],
      conversation: id,
      seed: 1n,
      stream,
    });
    const fast = await run(two.sessions, { messages: [user("ho")], conversation: id, seed: 1n });
    gate.resolve();
    let lost = "";
    await assert.rejects(slow.result(), (error) => {
      assert.ok(error instanceof InferenceError && error.code === "conversation_conflict");
      lost = error.stateId!;
      return true;
    });
    if (stream) {
      const events: TurnEvent[] = [];
      const iterating = (async () => {
        for await (const event of slow.events()) events.push(event);
      })();
      await rejects(iterating, "conversation_conflict");
      assert.equal(events.at(-1)!.type, "end");
    }
    assert.equal((await two.sessions.conversations.get(id)).head, fast.stateId);
    const alone = harness();
    const wanted = await run(alone.sessions, { messages: [user("hi")], seed: 1n });
    const { snapshot } = await stored(two, lost);
    assert.equal(snapshot.transcript.at(-1)!.content, wanted.text);
  }
});

Deno.test("a full history resumes from its longest cached prefix on any worker", async () => {
  const one = harness();
  const messages: Message[] = [];
  let cached = 0;
  for (const text of ["hi", "tell me more", "and then?"]) {
    messages.push(user(text));
    const worker = harness({ backend: one.backend });
    const { usage, text: reply } = await run(worker.sessions, { messages, seed: 3n });
    const [work] = worker.runner.works;
    assert.equal(
      work.tokens.length,
      usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens,
    );
    if (messages.length > 1) {
      assert.ok(usage.prompt_tokens_details.cached_tokens > cached);
      assert.ok(work.tokens.length < ids(`User: ${text}\n\nAssistant:`).length + 4);
    }
    cached = usage.prompt_tokens_details.cached_tokens;
    // Earlier sampling does not count: the reply is the same as to a full history.
    assert.deepEqual([work.position, [...work.counts].length > 0], [0, true]);
    messages.push(assistant(`${reply}  `));
  }
  const unknown = [user("hi"), assistant("something else"), user("so?")];
  const other = await run(one.sessions, { messages: unknown });
  assert.equal(other.usage.prompt_tokens_details.cached_tokens, 0);
  const off = harness({ backend: one.backend, prefixCaching: false });
  const anew = await run(off.sessions, { messages: [...messages, user("x")] });
  assert.equal(anew.usage.prompt_tokens_details.cached_tokens, 0);
});

Deno.test("prefix caching does not find a state with a hidden stop string or its continuations", async () => {
  const script = ids(" abcEND and");
  const it = harness({ script });
  const cachedOf = async ({ sessions }: Harness, messages: readonly Message[]) => {
    const { usage } = await run(sessions, { messages: [...messages, user("so?")] });
    return usage.prompt_tokens_details.cached_tokens;
  };
  const one = await run(it.sessions, { messages: [user("hi")], stop: ["END"] });
  assert.equal(one.text, "abc");
  const first = [user("hi"), assistant("abc")];
  assert.equal(await cachedOf(harness({ backend: it.backend }), first), 0);
  const next = harness({ backend: it.backend });
  const two = await run(next.sessions, { messages: [user("on")], stateId: one.stateId });
  const three = await run(next.sessions, { messages: [user("and")], stateId: two.stateId });
  const second = [...first, user("on"), assistant(two.text)];
  const third = [...second, user("and"), assistant(three.text)];
  for (const messages of [second, third]) {
    assert.equal(await cachedOf(harness({ backend: it.backend }), messages), 0);
  }
  const { transcript } = await next.sessions.describe(three.stateId);
  assert.deepEqual(transcript, third);
  // An empty line ends any reply, and a newline can begin one.
  const line = harness({ script: ids(" abc\n") });
  await run(line.sessions, { messages: [user("hi")], stop: ["\n"] });
  assert.ok(await cachedOf(line, first) > 0);
});

Deno.test("looks up only candidate prefixes of a long history", async () => {
  const it = harness({
    script: ids(" ok\n\n".repeat(1000)),
    limits: { promptTokens: 1_000_000 },
  });
  const messages: Message[] = [];
  let stateId: string | undefined;
  for (let i = 0; i < 300; i++) {
    const said = user(`${i}`);
    const turn = await run(it.sessions, {
      messages: [said],
      seed: 1n,
      ...(stateId === undefined ? {} : { stateId }),
    });
    stateId = turn.stateId;
    messages.push(said, assistant(turn.text));
  }
  let asked = 0;
  const { getMany } = it.backend;
  it.backend.getMany = (keys) => {
    if (keys[0][1] === "prefix") asked += keys.length;
    return getMany.call(it.backend, keys);
  };
  const whole = await run(it.sessions, { messages: [...messages, user("on")] });
  assert.ok(whole.usage.prompt_tokens_details.cached_tokens > 3000);
  assert.ok(asked <= 10, `${asked}`);
  const others = Array.from({ length: 300 }, () => [user("so"), assistant("no")]).flat();
  for (const known of [4, 100]) {
    asked = 0;
    const history = [...messages.slice(0, known), ...others, user("on")];
    const { usage } = await run(it.sessions, { messages: history, maxTokens: 1 });
    assert.ok(usage.prompt_tokens_details.cached_tokens > 0);
    assert.ok(asked <= 510, `${asked}`);
  }
});

Deno.test("an unfinished reply in a history is closed before the next message", async () => {
  const it = harness({ script: ids(" abcdefgh\n\n") });
  const unfinished = await run(it.sessions, { messages: [user("hi")], maxTokens: 4 });
  assert.equal(unfinished.text, "abc");
  const history = [user("hi"), assistant("abc"), user("on")];
  const next = await run(it.sessions, { messages: history });
  assert.ok(next.usage.prompt_tokens_details.cached_tokens > 0);
  const { transcript } = await it.sessions.describe(next.stateId);
  assert.deepEqual(transcript.slice(0, 3), history);
});

Deno.test("skips cached states that are missing or of another model", async () => {
  const it = harness();
  const one = await run(it.sessions, { messages: [user("hi")], seed: 1n });
  const two = await run(it.sessions, {
    messages: [user("hi"), assistant(one.text), user("on")],
    seed: 1n,
  });
  const history = [user("hi"), assistant(one.text), user("on"), assistant(two.text), user("x")];
  const cachedBy = async (sessions: typeof it.sessions) =>
    (await run(sessions, { messages: history })).usage.prompt_tokens_details.cached_tokens;
  const full = await cachedBy(it.sessions);
  await it.sessions.delete(two.stateId);
  const less = await cachedBy(it.sessions);
  assert.ok(less > 0 && less < full);
  await it.sessions.delete(one.stateId);
  const model = { ...MODEL, fingerprint: "sha256:other" };
  assert.equal(await cachedBy(harness({ backend: it.backend, model }).sessions), 0);
});

Deno.test("a system prompt is prefilled once for all conversations and workers", async () => {
  const one = harness();
  const ask = (text: string) => ({ messages: [SYSTEM, user(text)], seed: 1n });
  const begun = await Promise.all(["a", "b", "c"].map((text) => run(one.sessions, ask(text))));
  const read = one.runner.works.map(({ tokens }) => tokens.length);
  const system = ids(`System: ${SYSTEM.content}\n\n`).length;
  assert.deepEqual(read.filter((length) => length >= system), [system]);
  const cached = begun.map(({ usage }) => usage.prompt_tokens_details.cached_tokens);
  assert.ok(cached.includes(0) && cached.every((tokens) => tokens === 0 || tokens === system - 1));
  const two = harness({ backend: one.backend });
  const later = await run(two.sessions, { ...ask("d"), stream: true });
  assert.equal(later.usage.prompt_tokens_details.cached_tokens, system - 1);
  assert.equal(two.runner.works.length, 1);
  const plain = await run(harness({ prefixCaching: false }).sessions, ask("d"));
  assert.equal(later.text, plain.text);
  assert.equal(later.usage.prompt_tokens, plain.usage.prompt_tokens);
  // Prefilling a short system prompt is faster than loading its state.
  const short = harness();
  await run(short.sessions, { messages: [{ role: "system", content: "Hi" }, user("a")] });
  assert.equal(short.runner.works.length, 1);
});

Deno.test("a state of another model is rejected, or its transcript is reprocessed", async () => {
  const it = harness();
  const one = await run(it.sessions, { messages: [SYSTEM, user("hi")], seed: 1n });
  const model = { ...MODEL, fingerprint: "sha256:other" };
  const other = harness({ backend: it.backend, model });
  const request = { messages: [user("on")], stateId: one.stateId, seed: 2n };
  await rejects(other.sessions.start(request), "model_mismatch");
  const again = await run(other.sessions, { ...request, reprocess: true });
  assert.equal(again.usage.prompt_tokens_details.cached_tokens, 0);
  const whole = [SYSTEM, user("hi"), assistant(one.text), user("on")];
  const anew = await run(harness({ model, prefixCaching: false }).sessions, {
    messages: whole,
    seed: 2n,
  });
  assert.deepEqual([again.text, again.usage], [anew.text, anew.usage]);
  const { transcript } = await other.sessions.describe(again.stateId);
  assert.deepEqual(transcript.slice(0, -1), whole);
});

Deno.test("a state of another vocabulary is treated like a state of another model", async () => {
  const of = (vocabularyHash: string, backend?: Backend) => ({
    ...(backend ? { backend } : {}),
    model: { ...MODEL, vocabularyHash },
    storeOptions: { vocabularyHash },
  });
  const it = harness(of("aaaa"));
  const history = [SYSTEM, user("hi")];
  const one = await run(it.sessions, { messages: history, seed: 1n });
  const own = harness(of("aaaa", it.backend));
  const other = harness(of("bbbb", it.backend));
  const request = { messages: [user("on")], stateId: one.stateId, seed: 2n };
  await rejects(
    other.sessions.start(request),
    "model_mismatch",
    /vocabulary aaaa .* bbbb; .*--vocab/,
  );
  const again = await run(other.sessions, { ...request, reprocess: true });
  assert.equal(again.usage.prompt_tokens_details.cached_tokens, 0);
  const kept = await run(own.sessions, { ...request, reprocess: true });
  assert.ok(kept.usage.prompt_tokens_details.cached_tokens > 0);
  // Prefix caching does not find it either.
  const whole = [...history, assistant(one.text), user("more")];
  const found = async ({ sessions }: Harness) => {
    const { usage } = await run(sessions, { messages: whole });
    return usage.prompt_tokens_details.cached_tokens;
  };
  assert.equal(await found(other), 0);
  assert.ok(await found(own) > 0);
});

Deno.test("a state without a vocabulary hash is resumed", async () => {
  const it = harness();
  const one = await run(it.sessions, { messages: [user("hi")], seed: 1n });
  const vocabularyHash = "aaaa";
  const later = harness({
    backend: it.backend,
    model: { ...MODEL, vocabularyHash },
    storeOptions: { vocabularyHash },
  });
  const two = await run(later.sessions, { messages: [user("on")], stateId: one.stateId });
  assert.ok(two.usage.prompt_tokens_details.cached_tokens > 0);
  const { info } = await later.store.inspect(two.stateId);
  assert.equal(info.model.vocabularyHash, vocabularyHash);
  assert.equal((await it.store.inspect(one.stateId)).info.model.vocabularyHash, undefined);
});

Deno.test("an unfinished reply of another model is continued", async () => {
  const script = ids(" abc def\n\n");
  const it = harness({ script });
  const unfinished = await run(it.sessions, { messages: [user("hi")], maxTokens: 4 });
  const model = { ...MODEL, fingerprint: "sha256:other" };
  const other = harness({ backend: it.backend, model, script: ids(" def\n\n") });
  const rest = await run(other.sessions, {
    messages: [],
    stateId: unfinished.stateId,
    reprocess: true,
  });
  assert.equal(unfinished.text + rest.text, "abc def");
  assert.deepEqual(other.runner.works[0].tokens, [
    ...ids("User: hi\n\n"),
    ...ids("Assistant:"),
    ...ids(" abc"),
  ]);
});

Deno.test("the client gets a reply that cannot be stored, and the next reply is stored", async () => {
  // A streamed turn writes its snapshot and its manifest when it starts; every turn ends with three
  // writes.
  for (const [stream, needed] of [[false, 3], [true, 5]] as const) {
    for (let full = 0; full < needed; full++) {
      const backend = new MemoryBackend();
      const atomic = backend.atomic.bind(backend);
      let left = full;
      backend.atomic = (checks, mutations) =>
        left-- > 0
          ? atomic(checks, mutations)
          : Promise.reject(new InferenceError("store_unavailable", "Cannot write: disk full"));
      const it = harness({ backend, script: ids(" abc\n\n") });
      const turn = await it.sessions.start({ messages: [user("hi")], stream });
      assert.equal(turn.stateId !== null, stream && full >= 2);
      const { text, stateId, warning } = await turn.result();
      assert.deepEqual([text, stateId], ["abc", null]);
      assert.match(warning!, /not stored.*disk full/);
      left = Infinity;
      await run(it.sessions, { messages: [user("hi")], stream });
    }
  }
});

Deno.test("a state lives for its ttl, extended by every use", async () => {
  let now = 1_800_000_000_000;
  const clock = () => now;
  const it = harness({ clock, storeOptions: { now: clock } });
  const hour = 3_600_000;
  const one = await run(it.sessions, { messages: [user("hi")], ttl: 2 * hour });
  const streamed = await run(it.sessions, { messages: [user("hi")], ttl: 2 * hour, stream: true });
  for (const { stateId } of [one, streamed]) {
    assert.equal((await it.sessions.describe(stateId)).expires, now + 2 * hour);
  }
  now += 1.5 * hour;
  const child = await run(it.sessions, { messages: [user("on")], stateId: one.stateId });
  await it.sessions.settled();
  assert.equal((await it.sessions.describe(one.stateId)).expires, now + 2 * hour);
  assert.ok((await it.sessions.describe(child.stateId)).expires > now + 24 * hour);
  now += 1.5 * hour;
  await rejects(it.sessions.describe(streamed.stateId), "state_expired");
  await run(it.sessions, { messages: [user("on")], stateId: one.stateId });
  await it.sessions.settled();
});

Deno.test("a history sent together with an id is not reprocessed", async () => {
  const reply = ids(" b", 0);
  const it = harness({ script: [...reply, ...reply, ...reply, ...reply] });
  const history: Message[] = [];
  let stateId: string | undefined;
  const { id: conversation } = await it.sessions.conversations.create();
  for (const words of ["one", "two", "three", "four"]) {
    history.push(user(words));
    const turn = await run(it.sessions, { messages: history, stateId });
    const named = await run(it.sessions, { messages: history, conversation });
    ({ stateId } = turn);
    for (const id of [stateId, named.stateId]) {
      const { transcript } = await it.sessions.describe(id);
      assert.deepEqual(transcript, [...history, assistant("b")], words);
    }
    history.push(assistant("b"));
  }
  // Messages that only look alike are new.
  for (
    const messages of [
      [user("one"), assistant("b")],
      [...history.slice(0, -1), assistant("c")],
      [user("zero"), ...history.slice(1)],
    ]
  ) {
    messages.push(user("five"));
    const { messageCount } = await it.sessions.describe(
      (await run(it.sessions, { messages, stateId })).stateId,
    );
    assert.equal(messageCount, history.length + messages.length + 1);
  }
  await rejects(run(it.sessions, { messages: history, stateId }), "invalid_value", /is complete/);
});

Deno.test("prefix caching does not find an imported state or its continuations", async () => {
  const it = harness({ script: ids(" b", 0) });
  const { stateId } = await run(it.sessions, { messages: [user("a")] });
  const { parts } = await it.sessions.exportState(stateId);
  await it.sessions.delete(stateId);
  const imported = await it.sessions.importState(async function* () {
    yield* parts;
    await Promise.resolve();
  }());
  const history = [user("a"), assistant("b"), user("c")];
  const read = async (messages: Message[]) => {
    await (await it.sessions.start({ messages, store: false })).result();
    return it.runner.works.at(-1)!.state;
  };
  assert.equal(await read(history), null);
  const next = await run(it.sessions, { messages: [user("c")], stateId: imported.id });
  const streamed = await it.sessions.start({
    messages: [user("c")],
    stateId: imported.id,
    stream: true,
  });
  await streamed.result();
  const { content } = (await it.sessions.describe(next.stateId)).transcript.at(-1)!;
  assert.equal(await read([...history, assistant(content), user("d")]), null);
  // The state is unchanged when it is resumed by its id.
  assert.notEqual(await run(it.sessions, { messages: [user("e")], stateId: next.stateId }), null);
});
