import assert from "node:assert/strict";
import type { TextEvent, TextToken } from "../../src/session/session_types.ts";
import { collect, harness, ids, run, user } from "./fixtures.ts";

function textOf(tokens: readonly TextToken[]): string {
  const bytes = tokens.flatMap(({ bytes }) => [...bytes]);
  return new TextDecoder().decode(Uint8Array.from(bytes)).trimStart();
}

Deno.test("tokens are told with the text that they are of, and none of a stop", async () => {
  // An ö in two bytes, text that might begin a stop, and the end of the turn in one token with text.
  const script = [...ids(" a"), 1 + 0xc3, 1 + 0xb6, ...ids("stobstoc.\n\n")];
  const request = { messages: [user("hi")], stop: ["stoc"], logprobs: 2 };
  const it = harness({ script });
  const events = await collect((await it.sessions.start(request)).events());
  const texts = events.filter((event): event is TextEvent => event.type === "text");
  for (const { text, tokens } of texts) assert.equal(textOf(tokens!), text);
  const { text, tokens } = await run(it.sessions, request);
  assert.equal(text, "aöstob");
  assert.equal(textOf(tokens!), text);
  assert.deepEqual(tokens, texts.flatMap(({ tokens }) => tokens));
  assert.equal(it.runner.works[0].logprobs, 2);
  const [first] = tokens!;
  assert.deepEqual(first.top.map(({ token }) => token), [script[0], 1]);
  assert.deepEqual([first.logprob, first.top[0].bytes], [-script[0], first.bytes]);
});

Deno.test("what was held back when a reply was cut is told with the reply that goes on", async () => {
  const script = [...ids(" a"), 1 + 0xc3, 1 + 0xb6, ...ids("b\n\n")];
  const it = harness({ script });
  const cut = await run(it.sessions, { messages: [user("hi")], maxTokens: 3, logprobs: 0 });
  assert.deepEqual([cut.text, textOf(cut.tokens!)], ["a", "a"]);
  const rest = await run(it.sessions, { messages: [], stateId: cut.stateId, logprobs: 0 });
  assert.equal(rest.text, "öb");
  // The first half of the ö was sampled before.
  assert.deepEqual(rest.tokens!.map(({ token }) => token), [1 + 0xb6, 1 + 98]);
  const plain = await run(it.sessions, { messages: [user("hi")] });
  assert.equal(plain.tokens, undefined);
});
