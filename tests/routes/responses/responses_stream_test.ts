/** Streaming of `/v1/responses`. */

import assert from "node:assert/strict";
import { ids } from "../../session/fixtures.ts";
import { Documented, pointer } from "../documented.ts";
import { testApp } from "../fixtures.ts";
import { eventsOf, type Json, read, respond, send, textOf } from "./responses_client.ts";

Deno.test("a stream has all documented events in OpenAI's order with sequence numbers", async () => {
  const it = testApp({ script: ids(" Hello wörld\n\n") });
  const documented = await Documented.of(it.app);
  const events = await eventsOf(it, { input: "hi" });
  const types = events.map(({ type }) => type);
  const deltas = types.filter((type) => type === "response.output_text.delta");
  assert.ok(deltas.length > 1);
  assert.deepEqual(types, [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    ...deltas,
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
  ]);
  assert.deepEqual(events.map((event) => event.sequence_number), types.map((_, i) => i));
  for (const event of events) {
    documented.assertFits(event, pointer("components", "schemas", "ResponseEvent"));
  }
  const text = events.map((event) => "delta" in event ? event.delta : "").join("");
  assert.equal(text, "Hello wörld");
  const last = events.at(-1) as { response: Json & { id: string } };
  assert.equal(textOf(last.response as never), text);
  const first = events[0] as { response: Json };
  assert.equal(first.response.status, "in_progress");
  assert.equal(first.response.id, last.response.id);
  assert.deepEqual(await read(it, `/responses/${last.response.id}`), last.response);
});

Deno.test("log probabilities are returned on request, equal with and without streaming", async () => {
  const script = [...ids(" a"), 1 + 0xc3, 1 + 0xb6, ...ids("\n\n")];
  const it = testApp({ script });
  const include = ["message.output_text.logprobs"];
  const answered = await respond(it, { input: "hi", include, top_logprobs: 2 });
  assert.equal(answered.top_logprobs, 2);
  const [{ text, logprobs }] = answered.output[0].content;
  const bytes = logprobs.flatMap(({ bytes }: { bytes: number[] }) => bytes);
  assert.equal(new TextDecoder().decode(Uint8Array.from(bytes)).trim(), text);
  assert.deepEqual(logprobs[1], {
    token: "a",
    logprob: -script[1],
    bytes: [97],
    top_logprobs: logprobs[1].top_logprobs,
  });
  assert.equal(logprobs[1].top_logprobs.length, 2);
  const events = await eventsOf(it, { input: "hi", top_logprobs: 2 });
  const deltas = events.flatMap((event) =>
    event.type === "response.output_text.delta" ? event.logprobs : []
  );
  assert.deepEqual(deltas, logprobs);
  for (const event of events) {
    if (event.type === "response.output_text.done") assert.deepEqual(event.logprobs, logprobs);
  }
  const last = events.at(-1)!;
  assert.ok(last.type === "response.completed");
  assert.deepEqual(last.response.output[0].content[0].logprobs, logprobs);
  const plain = await respond(it, { input: "hi", include });
  assert.ok(plain.output[0].content[0].logprobs.every((one: Json) => "logprob" in one));
  const none = await respond(it, { input: "hi" });
  assert.deepEqual(none.output[0].content[0].logprobs, []);
  assert.deepEqual((await read(it, `/responses/${answered.id}`)).output[0].content[0].logprobs, []);
});

Deno.test("a streamed response is in_progress until it ends, and failed after an error", async () => {
  const gate = Promise.withResolvers<void>();
  const before = async (sampled: number) => {
    if (sampled < 2) return;
    await gate.promise;
    throw new TypeError("secret");
  };
  const it = testApp({ before, script: ids(" abcdef", 0) });
  const response = await send(it, "/responses", { input: "hi", stream: true });
  const id = response.headers.get("x-state-id")!.replace("state_", "resp_");
  assert.equal(
    (await read(testApp({ backend: it.backend }), `/responses/${id}`)).status,
    "in_progress",
  );
  gate.resolve();
  const text = await response.text();
  assert.doesNotMatch(text, /secret/);
  const last = JSON.parse(text.trimEnd().split("\ndata: ").at(-1)!);
  assert.equal(last.type, "response.failed");
  assert.equal(last.response.status, "failed");
  assert.equal(last.response.error.code, "server_error");
  const next = await respond(testApp({ backend: it.backend, script: ids(" b\n\n") }), {
    input: "on",
    previous_response_id: id,
  });
  assert.equal(textOf(next), "b");
});

Deno.test("a stream ends with an error if its conversation was advanced elsewhere", async () => {
  const gate = Promise.withResolvers<void>();
  const slow = testApp({ before: () => gate.promise, script: ids(" a\n\n") });
  const fast = testApp({ backend: slow.backend, script: ids(" b\n\n") });
  const { id } = await (await send(slow, "/conversations", {})).json();
  const waiting = await send(slow, "/responses", { input: "hi", conversation: id, stream: true });
  await respond(fast, { input: "hi", conversation: id });
  gate.resolve();
  const text = await waiting.text();
  const last = JSON.parse(text.trimEnd().split("\ndata: ").at(-1)!);
  assert.deepEqual([last.type, last.code], ["error", "conversation_conflict"]);
  const kept = waiting.headers.get("x-state-id")!.replace("state_", "resp_");
  assert.equal(textOf(await read(fast, `/responses/${kept}`)), "a");
});
