/** Replies that continue the last message, and replies with ignore_eos. */

import assert from "node:assert/strict";
import { replyOpening } from "../../src/prompt/chat_template.ts";
import { collect, harness, ids, rejects, run, stored, user } from "./fixtures.ts";

function reply(content: string) {
  return { role: "assistant" as const, content };
}

const BEGUN = [user("hi"), reply("It is")];

Deno.test("continue_final_message: the model continues the beginning of the reply", async () => {
  const it = harness({ script: ids(" so\n\n") });
  const one = await run(it.sessions, { messages: BEGUN, continueFinalMessage: true });
  assert.deepEqual(it.runner.works[0].tokens, ids("User: hi\n\nAssistant: It is"));
  assert.equal(one.text, " so");
  assert.equal(one.finishReason, "stop");
  const { snapshot } = await stored(it, one.stateId);
  assert.deepEqual(snapshot.transcript, [user("hi"), reply("It is so")]);
  // Prefix caching finds the whole reply in a history.
  const next = [user("hi"), reply("It is so"), user("on")];
  const two = await run(it.sessions, { messages: next });
  assert.ok(two.usage.prompt_tokens_details.cached_tokens > 0);
});

Deno.test("continue_final_message: streams emit the rest, and an unfinished reply continues", async () => {
  const it = harness({ script: ids(" so and so\n\n") });
  const turn = await it.sessions.start({
    messages: BEGUN,
    continueFinalMessage: true,
    stream: true,
    maxTokens: 4,
  });
  const texts = (await collect(turn.events())).map((event) => "text" in event ? event.text : "");
  assert.equal(texts.join(""), " so ");
  const { open, snapshot } = await stored(it, turn.stateId);
  assert.ok(open);
  assert.equal(snapshot.transcript.at(-1)!.content, "It is so ");
  const rest = await run(it.sessions, { messages: [], stateId: turn.stateId! });
  assert.equal(rest.text, "and so");
});

Deno.test("continue_final_message: after a closed and an open state", async () => {
  for (const [maxTokens, before] of [[9, "\n\n"], [1, "b\n\n"]] as const) {
    const it = harness({ script: ids("b\n\n") });
    const { stateId } = await run(it.sessions, { messages: [user("a")], maxTokens });
    await run(it.sessions, { messages: BEGUN, stateId, continueFinalMessage: true });
    const read = [...ids(before), ...ids("User: hi\n\nAssistant: It is")];
    assert.deepEqual(it.runner.works[1].tokens, read);
  }
});

Deno.test("continue_final_message: empty beginnings, blank lines and endings", async () => {
  const it = harness({ script: ids(" so\n\n") });
  const { text } = await run(it.sessions, {
    messages: [user("hi"), reply(" ")],
    continueFinalMessage: true,
  });
  assert.equal(text, "so");
  assert.deepEqual(it.runner.works[0].tokens, ids("User: hi\n\nAssistant:"));
  for (
    const [given, read] of [
      ["It is ", "It is "],
      ["\n It\n\n\nis", "It\nis"],
      ["It is \r\n\n", "It is\n"],
      ["It is\t", "It is\t"],
      ["", ""],
      [" \n", ""],
    ]
  ) assert.equal(replyOpening(reply(given)), read, JSON.stringify(given));
});

Deno.test("continue_final_message: a trailing newline counts towards the end of the turn", async () => {
  const it = harness({ script: ids("\n") });
  const messages = [user("hi"), reply("It is\n")];
  const one = await run(it.sessions, { messages, continueFinalMessage: true });
  assert.equal(one.text, "");
  assert.equal(one.finishReason, "stop");
  const unfinished = harness({ script: ids("xyz") });
  const { stateId } = await run(unfinished.sessions, {
    messages,
    continueFinalMessage: true,
    maxTokens: 1,
  });
  await run(unfinished.sessions, { messages: [user("on")], stateId });
  assert.deepEqual(unfinished.runner.works[1].tokens, ids("x\n\nUser: on\n\nAssistant:"));
});

Deno.test("continue_final_message: a format applies to whole replies only", async () => {
  const { sessions } = harness();
  const constraint = { type: "json_object" } as const;
  const request = { messages: BEGUN, continueFinalMessage: true, constraint };
  await rejects(sessions.start(request), "invalid_value", /continue_final_message: false/);
  await rejects(
    sessions.start({ messages: [user("hi")], ignoreEos: true, constraint }),
    "invalid_value",
    /ignore_eos/,
  );
});

Deno.test("ignore_eos: neither an empty line nor the end of text ends the reply", async () => {
  const script = ids(" a\n\nb", 0, ...ids("c\n\n\nd"));
  const it = harness({ script });
  const one = await run(it.sessions, { messages: [user("hi")], ignoreEos: true, maxTokens: 8 });
  assert.equal(one.usage.completion_tokens, 8);
  assert.equal(one.finishReason, "length");
  assert.equal(one.text, "a\n\nbc\n\n\nd");
  assert.equal(it.runner.works[0].endToken, null);
  const stop = await run(it.sessions, {
    messages: [user("hi")],
    ignoreEos: true,
    maxTokens: 8,
    stop: ["c"],
  });
  assert.equal(stop.text, "a\n\nb");
  assert.equal(stop.finishReason, "stop");
});

Deno.test("ignore_eos: the state is found by its id but not by prefix caching", async () => {
  const it = harness({ script: ids(" a\n\nUser: b") });
  const endless = { messages: [user("hi")], ignoreEos: true, maxTokens: 9 };
  const { text, stateId } = await run(it.sessions, endless);
  const more = [user("hi"), reply(text), user("on")];
  const isolated = await run(it.sessions, { messages: more });
  assert.equal(isolated.usage.prompt_tokens_details.cached_tokens, 0);
  const on = await run(it.sessions, { messages: [user("on")], stateId });
  assert.ok(on.usage.prompt_tokens_details.cached_tokens > 0);
  const after = [...more, reply(on.text), user("more")];
  const later = await run(it.sessions, { messages: after });
  assert.ok(later.usage.prompt_tokens_details.cached_tokens <= isolated.usage.total_tokens);
  // A continued open reply with ignore_eos is excluded from prefix caching, too.
  const unfinished = await run(it.sessions, { messages: [user("x")], maxTokens: 1 });
  const further = { messages: [], stateId: unfinished.stateId, ignoreEos: true, maxTokens: 3 };
  const { snapshot } = await stored(it, (await run(it.sessions, further)).stateId);
  assert.match(snapshot.earlier!.hash, /^plain /);
});
