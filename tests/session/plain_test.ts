/** Raw texts without a chat template. */

import assert from "node:assert/strict";
import { harness, ids, rejects, run, stored, user } from "./fixtures.ts";

Deno.test("a raw text continues without a template and past empty lines", async () => {
  const it = harness({ script: ids(" a\n\nb\n\n", 0) });
  const { text, stateId } = await run(it.sessions, { messages: [], prompt: "Once" });
  assert.equal(text, " a\n\nb\n\n");
  const [work] = it.runner.works;
  assert.deepEqual(work.tokens, ids("Once"));
  assert.deepEqual(work.stops!.strings, []);
  const { snapshot, open } = await stored(it, stateId);
  assert.ok(!open);
  // The end-of-text token is not processed, and nothing is added.
  assert.deepEqual([snapshot.pending, snapshot.rawText], [[], true]);
});

Deno.test("a text in two parts gives the same result as one and can be extended", async () => {
  const script = ids(" abc def ghi", 0);
  const whole = await run(harness({ script }).sessions, { messages: [], prompt: "x" });
  const it = harness({ script });
  const unfinished = await run(it.sessions, { messages: [], prompt: "x", maxTokens: 5 });
  const rest = await run(it.sessions, { messages: [], stateId: unfinished.stateId });
  assert.equal(unfinished.text + rest.text, whole.text);
  const more = await run(it.sessions, {
    messages: [],
    prompt: " and",
    stateId: unfinished.stateId,
  });
  const { pending } = (await stored(it, unfinished.stateId)).snapshot;
  assert.deepEqual(it.runner.works.at(-1)!.tokens, [...pending, ...ids(" and")]);
  const { transcript } = await it.sessions.describe(more.stateId);
  assert.deepEqual(transcript.map(({ content }) => content), [
    "x",
    unfinished.text,
    " and",
    more.text,
  ]);
});

Deno.test("stop strings end a text across token boundaries and are not displayed", async () => {
  const it = harness({ script: ids(" abcdstopdef", 0) });
  for (const stop of [["stop"], ["x", "dst"], ["\n\n", "op"]]) {
    const { text, finishReason } = await run(it.sessions, { messages: [], prompt: "x", stop });
    assert.equal(text, " abcdstop".split(stop[1] === "dst" ? "dst" : stop.at(-1)!)[0]);
    assert.equal(finishReason, "stop");
  }
});

Deno.test("prefix caching does not find a raw text or its continuations", async () => {
  const it = harness({ script: ids(" b", 0) });
  const plain = await run(it.sessions, { messages: [], prompt: "a" });
  const chat = await run(it.sessions, { messages: [user("c")], stateId: plain.stateId });
  const next = await run(it.sessions, { messages: [user("d")], stateId: chat.stateId });
  assert.ok(next.text !== undefined);
  const history = [user("a"), { role: "assistant" as const, content: plain.text }, user("c")];
  const asked = await run(it.sessions, { messages: history });
  assert.equal(asked.usage.prompt_tokens_details.cached_tokens, 0);
  const longer = [...history, { role: "assistant" as const, content: asked.text }, user("d")];
  const again = await run(it.sessions, { messages: longer });
  // The part that was processed as messages is cached by the turn before.
  assert.equal(
    again.usage.prompt_tokens_details.cached_tokens,
    (await stored(it, asked.stateId)).snapshot.processedTokens,
  );
});

Deno.test("rejects an empty text", async () => {
  const it = harness();
  await rejects(it.sessions.start({ messages: [], prompt: "" }), "invalid_value", /prompt/);
});
