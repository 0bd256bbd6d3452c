/** Turns with instructions, turns that are not stored, and reports for clients. */

import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { encodeSnapshot, visibleTranscript } from "../../src/session/stored_turn.ts";
import { checkSnapshot } from "../../src/session/check_snapshot.ts";
import { harness, ids, run, stored, tokenizer, user, VOCABULARY } from "./fixtures.ts";

const CONTEXT = { vocabulary: VOCABULARY, open: false, isInitialState: false };

Deno.test("replacing instructions resumes the last state without instructions", async () => {
  const it = harness();
  const one = await run(it.sessions, { messages: [user("one")], seed: 1n });
  const two = await run(it.sessions, {
    messages: [user("two")],
    stateId: one.stateId,
    instructions: "Be brief",
    seed: 2n,
  });
  const { snapshot } = await stored(it, two.stateId);
  assert.deepEqual(snapshot.instructions, { at: 2, text: "Be brief" });
  const request = { messages: [user("three")], instructions: null, seed: 3n };
  const three = await run(it.sessions, { ...request, stateId: two.stateId });
  assert.equal(
    three.usage.prompt_tokens_details.cached_tokens,
    two.usage.prompt_tokens_details.cached_tokens,
  );
  assert.equal((await stored(it, three.stateId)).snapshot.instructions, undefined);
  // If that state is missing, the turn takes longer but gives the same result.
  await it.store.delete(one.stateId);
  const anew = await run(it.sessions, { ...request, stateId: two.stateId });
  assert.equal(anew.usage.prompt_tokens_details.cached_tokens, 0);
  const read = tokenizer.decode(it.runner.works.at(-1)!.tokens);
  assert.match(read, /^User: one\n\n/);
  assert.doesNotMatch(read, /System/);
});

Deno.test("instructions stay by default and when a reply continues", async () => {
  const it = harness({ script: ids(" abc\n\n d\n\n") });
  const one = await run(it.sessions, {
    messages: [user("hi")],
    instructions: "Be brief",
    maxTokens: 2,
  });
  const two = await run(it.sessions, { messages: [], stateId: one.stateId, instructions: null });
  assert.equal(one.text + two.text, "abc");
  const three = await run(it.sessions, { messages: [user("on")], stateId: two.stateId });
  assert.equal(three.text, "d");
  const { snapshot } = await stored(it, three.stateId);
  assert.deepEqual(snapshot.instructions, { at: 0, text: "Be brief" });
  const { transcript } = await it.sessions.describe(three.stateId);
  const said = visibleTranscript(transcript.slice(0, -snapshot.transcript.length), snapshot);
  assert.deepEqual(said, transcript.slice(1));
});

Deno.test("a state file may contain valid instructions only", async () => {
  const it = harness();
  const request = { messages: [user("hi")], instructions: "Be brief" };
  const { snapshot } = await stored(it, (await run(it.sessions, request)).stateId);
  assert.deepEqual(checkSnapshot(encodeSnapshot(snapshot), CONTEXT), snapshot);
  const wrong = ["x", { at: -1, text: "" }, { at: 0, text: 5 }, { at: 0, text: "", more: 1 }];
  for (const instructions of wrong) {
    assert.throws(
      () =>
        checkSnapshot(
          encodeSnapshot({ ...snapshot, instructions: instructions as never }),
          CONTEXT,
        ),
      (error) => error instanceof InferenceError && /^turn\.instructions/.test(error.param ?? ""),
    );
  }
});

Deno.test("a turn with store: false stores nothing", async () => {
  const it = harness({ script: ids(" a\n\n b\n\n") });
  for (const stream of [false, true]) {
    const messages = [
      { role: "system" as const, content: "You are a helpful assistant who answers briefly." },
      user("hi"),
    ];
    const turn = await it.sessions.start({ messages, store: false, stream });
    const { text, stateId, warning } = await turn.result();
    assert.deepEqual([text, stateId, warning], ["a", null, undefined]);
  }
  await it.sessions.settled();
  for await (const { key } of it.backend.list(["default"])) assert.fail(`found ${key}`);
});

Deno.test("the report contains the client's note and the result of the turn", async () => {
  const it = harness({ script: ids(" a\n\n"), clock: () => 42 });
  const { text, usage, finishReason, stateId } = await run(it.sessions, {
    messages: [user("hi")],
    note: { any: ["thing"] },
  });
  const other = harness({ backend: it.backend }).sessions;
  const report = { note: { any: ["thing"] }, created: 42, end: { finishReason, usage, text } };
  assert.deepEqual(await other.report(stateId), report);
  const plain = await run(it.sessions, { messages: [user("hi")] });
  assert.equal(await other.report(plain.stateId), null);
});
