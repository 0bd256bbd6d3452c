/** Streaming of `POST /v1/chat/completions`. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import { ids } from "../../session/fixtures.ts";
import { dataOf, HI, post, testApp } from "../fixtures.ts";

const REPLY = ids(" Hello wörld.\n\n");

Deno.test("a stream has chunks with role, text and state, then [DONE]", async () => {
  const { app } = testApp({ script: REPLY });
  const response = await post(app, { ...HI, stream: true });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^text\/event-stream/);
  const data = await dataOf(response);
  assert.equal(data.pop(), "[DONE]");
  const chunks = data.map((line) => JSON.parse(line));
  for (const chunk of chunks) {
    assert.equal(chunk.object, "chat.completion.chunk");
    assert.equal(chunk.id, chunks[0].id);
    assert.equal(chunk.choices[0].index, 0);
    assert.ok(!("usage" in chunk));
  }
  assert.deepEqual(chunks[0].choices[0].delta, { role: "assistant", content: "" });
  const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
  assert.equal(text, "Hello wörld.");
  const reasons = chunks.map((chunk) => chunk.choices[0].finish_reason);
  assert.deepEqual(reasons, [...Array(chunks.length - 1).fill(null), "stop"]);
  const last = chunks[chunks.length - 1];
  assert.deepEqual(last.choices[0].delta, {});
  assert.equal(last.state_id, response.headers.get("x-state-id"));
});

Deno.test("a stream sends comments while it has no events", async () => {
  const gate = Promise.withResolvers<void>();
  const { app } = testApp({ script: REPLY, before: () => gate.promise, keepAliveMs: 20 });
  const response = await post(app, { ...HI, stream: true });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while ((text.match(/^: keep-alive$/gm)?.length ?? 0) < 3) text += (await reader.read()).value;
  gate.resolve();
  for (let piece; (piece = await reader.read()), !piece.done;) text += piece.value;
  const events = text.slice(0, -2).split("\n\n");
  assert.equal(events.at(-1), "data: [DONE]");
  const chunks = events.filter((event) => event.startsWith("data: {"));
  assert.equal(chunks.length + 1, events.filter((event) => event !== ": keep-alive").length);
  const contents = chunks.map((event) => JSON.parse(event.slice(6)).choices[0].delta.content ?? "");
  assert.equal(contents.join(""), "Hello wörld.");
});

Deno.test("include_usage adds a chunk with the usage", async () => {
  const { app } = testApp({ script: REPLY });
  const options = { stream: true, stream_options: { include_usage: true } };
  const data = await dataOf(await post(app, { ...HI, ...options }));
  assert.equal(data.pop(), "[DONE]");
  const usage = JSON.parse(data.pop()!);
  assert.deepEqual(usage.choices, []);
  assert.equal(usage.usage.completion_tokens, REPLY.length);
  for (const line of data) assert.equal(JSON.parse(line).usage, null);
});

Deno.test("a failed choice does not end the others, and the stream ends with its error", async () => {
  const { app, runner } = testApp({ script: REPLY });
  const submit = runner.submit.bind(runner);
  runner.submit = (work) => {
    const generation = submit(work);
    if (work.sampling.seed !== 2n) return generation;
    const finished = Promise.reject(new InferenceError("numeric_fault", "broken"));
    finished.catch(() => {});
    return { ...generation, finished };
  };
  const data = await dataOf(await post(app, { ...HI, n: 3, seed: 1, stream: true }));
  const events = data.map((line) => JSON.parse(line));
  assert.equal(events.at(-1).error.code, "numeric_fault");
  const ended = events.flatMap(({ choices }) => choices ?? [])
    .filter(({ finish_reason }) => finish_reason === "stop");
  assert.deepEqual(ended.map(({ index }) => index).sort(), [0, 2]);
});

Deno.test("a failure during a stream ends it with an error object", async () => {
  for (
    const [failure, code] of [
      [new InferenceError("device_lost", "The device is gone"), "device_lost"],
      [new TypeError("secret"), "internal_error"],
    ] as const
  ) {
    const before = (sampled: number) => {
      if (sampled === 2) throw failure;
    };
    const { app, logged, backend } = testApp({ script: REPLY, before });
    const response = await post(app, { ...HI, stream: true });
    assert.equal(response.status, 200);
    const data = await dataOf(response);
    const { error, state_id: stateId } = JSON.parse(data.pop()!);
    assert.equal(error.code, code);
    assert.equal(stateId, response.headers.get("x-state-id"));
    assert.doesNotMatch(JSON.stringify(error), /secret/);
    assert.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"]);
    assert.ok(!data.includes("[DONE]"));
    assert.deepEqual(logged, [failure]);
    // The id from the header can be resumed.
    const state_id = response.headers.get("x-state-id");
    const well = testApp({ script: REPLY, backend });
    const resumed = await (await post(well.app, { messages: [], state_id })).json();
    assert.equal(resumed.choices[0].message.content, "Hello wörld.");
  }
});

Deno.test("a disconnected client cancels its turn, whose state can be resumed", async () => {
  const before = () => new Promise<void>((resolve) => setTimeout(resolve, 2));
  const { app, runner } = testApp({ before, script: ids(` ${"a".repeat(200)}`, 0) });
  const response = await post(app, { ...HI, stream: true });
  const reader = response.body!.getReader();
  for (let i = 0; i < 4; i++) await reader.read();
  await reader.cancel();
  const state_id = response.headers.get("x-state-id");
  const rest = await (await post(app, { messages: [], state_id })).json();
  assert.ok(runner.works[0].signal!.aborted);
  const { length } = rest.choices[0].message.content;
  assert.ok(length > 100 && length < 200, `the continuation has ${length} letters`);
  const { transcript } = await (await app.request(`/v1/states/${rest.state_id}`)).json();
  assert.equal(transcript[1].content, "a".repeat(200));
});

Deno.test("a client that stops reading cancels its turn; one that reads slowly does not", async () => {
  await Promise.all(["/v1/chat/completions", "/v1/responses"].map(async (path) => {
    let written = 0;
    const before = async () => {
      written++;
      await new Promise((resolve) => setTimeout(resolve, 10));
    };
    const { app } = testApp({ script: ids("a".repeat(80)), before, stalledReadTimeoutMs: 200 });
    const ask = () =>
      app.request(path, {
        method: "POST",
        body: JSON.stringify({
          ...(path.endsWith("responses") ? { input: "hi" } : { ...HI, max_tokens: 70 }),
          stream: true,
        }),
      });
    const slow = await ask();
    let text = "";
    for await (const piece of slow.body!.pipeThrough(new TextDecoderStream())) {
      text += piece;
      if (text.length < 2000) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.match(text, /data: \[DONE\]\n\n$|event: response.completed/);

    written = 0;
    const unread = await ask();
    await new Promise((resolve) => setTimeout(resolve, 450));
    const [then] = [written];
    assert.ok(then < 70, `${then} tokens were written`);
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(written, then);
    const rest = await unread.text();
    assert.doesNotMatch(rest, /\[DONE\]|response.completed/);
    const id = unread.headers.get("x-state-id")!;
    const state = await (await app.request(`/v1/states/${id}`)).json();
    assert.equal(state.open, true);
  }));
});
