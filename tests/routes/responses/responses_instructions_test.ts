/** `instructions` of `/v1/responses` apply to one response. */

import assert from "node:assert/strict";
import { ids } from "../../session/fixtures.ts";
import { testApp } from "../fixtures.ts";
import { type Json, promptsOf, read, respond, textOf } from "./responses_client.ts";

Deno.test("instructions are not part of the next response's state", async () => {
  const it = testApp({ script: ids(" a\n\n b\n\n c\n\n d\n\n e\n\n") });
  const one = await respond(it, { input: "one" });
  const two = await respond(it, {
    input: "two",
    instructions: "Be brief",
    previous_response_id: one.id,
  });
  const cached = (response: Json) =>
    (response as typeof two).usage.input_tokens_details.cached_tokens;
  assert.ok(cached(two) > cached(one));
  const kept = await respond(it, {
    input: "three",
    instructions: "Be brief",
    previous_response_id: two.id,
  });
  assert.ok(cached(kept) > cached(two));
  const without = await respond(it, { input: "three", previous_response_id: two.id });
  assert.equal(cached(without), cached(two));
  const texts = promptsOf(it);
  assert.match(texts[1], /System: Be brief\n\nUser: two\n\nAssistant:$/);
  assert.match(texts[2], /^(?!.*System)[^]*User: three\n\nAssistant:$/);
  assert.match(texts[3], /User: two\n\nAssistant: b\n\nUser: three\n\nAssistant:$/);
  assert.doesNotMatch(texts[3], /System|User: one/);
  const transcript = async ({ state_id }: { state_id: string }) => {
    const state = await read(it, `/states/${state_id}`);
    return state.transcript.map(({ role, content }: Json) => `${role} ${content}`);
  };
  const said = await transcript(without);
  assert.deepEqual(said.slice(0, -1), [
    "user one",
    "assistant a",
    "user two",
    "assistant b",
    "user three",
  ]);
  const system = (await transcript(kept)).filter((line: string) => line.startsWith("system"));
  assert.deepEqual(system, ["system Be brief"]);
  const changed = await respond(it, {
    input: "four",
    instructions: "Be long",
    previous_response_id: kept.id,
  });
  const other = await transcript(changed);
  assert.deepEqual(other.filter((line: string) => line.startsWith("system")), ["system Be long"]);
  assert.deepEqual(other.indexOf("system Be long"), other.indexOf("user four") - 1);
  assert.equal(changed.instructions, "Be long");
});

Deno.test("a response without the earlier instructions equals that of a worker that never processed them", async () => {
  const it = testApp();
  const one = await respond(it, { input: "one", seed: 1, instructions: "Be brief" });
  const two = await respond(it, { input: "two", seed: 2, previous_response_id: one.id });
  assert.equal(two.usage.input_tokens_details.cached_tokens, 0);
  const input = [
    { role: "user", content: "one" },
    { role: "assistant", content: [{ type: "output_text", text: textOf(one) }] },
    { role: "user", content: "two" },
  ];
  const anew = await respond(testApp(), { input, seed: 2 });
  assert.equal(textOf(two), textOf(anew));
  assert.equal(two.usage.input_tokens, anew.usage.input_tokens);
});
