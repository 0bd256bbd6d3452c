import assert from "node:assert/strict";
import type { TextEvent, TextToken } from "../../src/session/session_types.ts";
import { collect, harness, ids, rejects, run, user } from "./fixtures.ts";

function textOf(tokens: readonly TextToken[]): string {
  const bytes = tokens.flatMap(({ bytes }) => [...bytes]);
  return new TextDecoder().decode(Uint8Array.from(bytes)).trimStart();
}

Deno.test("tokens come with their text, without the tokens of a stop string", async () => {
  // An ö in two bytes, text that might begin a stop string, and the end of the turn in one token
  // with text.
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

Deno.test("undisplayed tokens of an unfinished reply come with its continuation", async () => {
  const script = [...ids(" a"), 1 + 0xc3, 1 + 0xb6, ...ids("b\n\n")];
  const it = harness({ script });
  const unfinished = await run(it.sessions, { messages: [user("hi")], maxTokens: 3, logprobs: 0 });
  assert.deepEqual([unfinished.text, textOf(unfinished.tokens!)], ["a", "a"]);
  const rest = await run(it.sessions, { messages: [], stateId: unfinished.stateId, logprobs: 0 });
  assert.equal(rest.text, "öb");
  // The first half of the ö was sampled before.
  assert.deepEqual(rest.tokens!.map(({ token }) => token), [1 + 0xb6, 1 + 98]);
  const plain = await run(it.sessions, { messages: [user("hi")] });
  assert.equal(plain.tokens, undefined);
});

Deno.test("limits buffered log probabilities of a reply, but not of a stream", async () => {
  const { sessions } = harness({ limits: { logprobs: 240, defaultMaxTokens: 40 } });
  const request = { messages: [user("hi")], logprobs: 2 };
  for (const maxTokens of [40, undefined]) {
    await Promise.all(
      (await sessions.startAll({ ...request, maxTokens }, 2)).map((turn) => turn.result()),
    );
  }
  const message =
    /^logprobs: 2 x 41 tokens with 3 log probabilities each are 246, the limit .* 240; .*stream/;
  await rejects(sessions.startAll({ ...request, maxTokens: 41 }, 2), "invalid_value", message);
  await rejects(sessions.startAll(request, 3), "invalid_value", /3 x 40 tokens/);
  const streamed = { ...request, maxTokens: 41, stream: true };
  await Promise.all((await sessions.startAll(streamed, 2)).map((turn) => turn.result()));
  const whole = { ...streamed, logprobsAtEnd: true };
  await rejects(sessions.startAll(whole, 2), "invalid_value", /fewer .*top_logprobs$/);
});

Deno.test("a stream buffers log probabilities only until they are read", async () => {
  const script = [...ids(" "), ...Array(30).fill(1 + 97), 0];
  const it = harness({ script });
  const request = { messages: [user("hi")], logprobs: 1, stream: true };
  const turn = await it.sessions.start(request);
  const events = await collect(turn.events());
  const tokens = events.flatMap((event) => event.type === "text" ? event.tokens! : []);
  assert.equal(tokens.length, 31);
  assert.equal((await turn.result()).tokens, undefined);
});

Deno.test("a stream with too many unread log probabilities ends and can be continued", async () => {
  const text = "a".repeat(50);
  const before = () => new Promise<void>((resolve) => setTimeout(resolve));
  const it = harness({ script: [...ids(` ${text}`), 0], before, limits: { logprobs: 40 } });
  const request = { messages: [user("hi")], logprobs: 1, stream: true };
  const turn = await it.sessions.start(request);
  const { finishReason, stateId } = await turn.result();
  assert.equal(finishReason, "length");
  const events = await collect(turn.events());
  const read = events.map((event) => event.type === "text" ? event.text : "").join("");
  assert.ok(read.length >= 20 && read.length < 30, `${read.length}`);
  const rest = await run(it.sessions, { messages: [], stateId: stateId! });
  assert.equal(read + rest.text, text);
  const lost = await it.sessions.start({ ...request, store: false });
  await rejects(lost.result(), "cancelled", /20 tokens are unread; read faster/);
});
