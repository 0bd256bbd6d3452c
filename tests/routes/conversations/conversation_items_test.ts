/** Initial items of a conversation, and items added later. */

import assert from "node:assert/strict";
import { ids } from "../../session/fixtures.ts";
import { errorOf, testApp } from "../fixtures.ts";

type App = ReturnType<typeof testApp>["app"];

// deno-lint-ignore no-explicit-any -- responses have various JSON types
type Json = any;

const ITEMS = [
  { type: "message", role: "developer", content: "Be brief." },
  { type: "message", role: "user", content: [{ type: "input_text", text: "hi" }] },
  { role: "assistant", content: [{ type: "output_text", text: "Yes?" }] },
];
const READ = "System: Be brief.\n\nUser: hi\n\nAssistant: Yes?\n\n";

function send(app: App, path: string, body?: unknown): Response | Promise<Response> {
  if (body === undefined) return app.request(`/v1${path}`);
  return app.request(`/v1${path}`, { method: "POST", body: JSON.stringify(body) });
}

async function sent(app: App, path: string, body?: unknown): Promise<Json> {
  const response = await send(app, path, body);
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer;
}

function texts({ data }: Json): string[] {
  return data.map(({ role, content: [{ text }] }: Json) => `${role}: ${text}`);
}

const SAID = ["developer: Be brief.", "user: hi", "assistant: Yes?"];

Deno.test("the first turn processes the initial items", async () => {
  const { app, runner } = testApp({ script: ids(" a\n\n b\n\n") });
  const { id, state_id } = await sent(app, "/conversations", { items: ITEMS });
  assert.match(state_id, /^state_/);
  assert.equal(runner.works.length, 0);
  const listed = await sent(app, `/conversations/${id}/items?order=asc`);
  assert.deepEqual(texts(listed), SAID);
  assert.ok(listed.data.every(({ status }: Json) => status === "completed"));
  const one = await sent(app, "/responses", { conversation: id, input: "on" });
  assert.equal(one.output[0].content[0].text, "a");
  assert.deepEqual(runner.works[0].tokens, ids(`${READ}User: on\n\nAssistant:`));
  assert.equal(one.usage.input_tokens, runner.works[0].tokens.length);
  const after = await sent(app, `/conversations/${id}/items?order=asc`);
  assert.deepEqual(texts(after), [...SAID, "user: on", "assistant: a"]);
  assert.deepEqual(after.data.slice(0, 3), listed.data);
  // The next turn processes only new messages.
  const two = await sent(app, "/chat/completions", {
    conversation: id,
    messages: [{ role: "user", content: "more" }],
  });
  assert.equal(two.choices[0].message.content, "b");
  assert.ok(runner.works[1].tokens.length < runner.works[0].tokens.length);
});

Deno.test("items are appended to a conversation and retrieved by id", async () => {
  const { app, runner } = testApp({ script: ids(" ab\n\n c\n\n") });
  const { id } = await sent(app, "/conversations", {});
  const messages = [{ role: "user", content: "one" }];
  // The reply is truncated, and ends when items are added after it.
  await sent(app, "/chat/completions", { conversation: id, messages, max_tokens: 2 });
  const added = await sent(app, `/conversations/${id}/items`, {
    items: [{ role: "user", content: "x" }, { role: "assistant", content: "y" }],
  });
  assert.deepEqual(texts(added), ["user: x", "assistant: y"]);
  assert.equal(added.has_more, false);
  const more = await sent(app, `/conversations/${id}/items`, {
    items: [{ role: "user", content: "z" }],
  });
  const all = await sent(app, `/conversations/${id}/items?order=asc`);
  assert.deepEqual(texts(all), [
    "user: one",
    "assistant: a",
    "user: x",
    "assistant: y",
    "user: z",
  ]);
  assert.deepEqual(all.data.slice(2), [...added.data, ...more.data]);
  for (const item of all.data) {
    assert.deepEqual(await sent(app, `/conversations/${id}/items/${item.id}`), item);
  }
  const unknown = `/conversations/${id}/items/msg_${"0".repeat(20)}`;
  const error = await errorOf(send(app, unknown), 404, "not_found");
  assert.match(error.message, /no such message; list them/);
  await errorOf(app.request(`/v1${unknown}`, { method: "DELETE" }), 405, "method_not_allowed");
  // A turn without messages replies to the user message.
  await sent(app, "/chat/completions", { conversation: id, messages: [] });
  const read = "a\n\nUser: x\n\nAssistant: y\n\nUser: z\n\nAssistant:";
  assert.deepEqual(runner.works[1].tokens, ids(read));
});

Deno.test("items after a state do not change the state", async () => {
  const { app } = testApp({ script: ids(" a\n\n") });
  const { state_id } = await sent(app, "/chat/completions", {
    messages: [{ role: "user", content: "one" }],
  });
  const begun = await sent(app, "/conversations", { state_id, items: ITEMS, metadata: { a: "b" } });
  assert.notEqual(begun.state_id, state_id);
  assert.deepEqual(begun.metadata, { a: "b" });
  const all = await sent(app, `/conversations/${begun.id}/items?order=asc`);
  assert.deepEqual(texts(all), ["user: one", "assistant: a", ...SAID]);
  const kept = await sent(app, `/states/${state_id}`);
  assert.equal(kept.transcript.length, 2);
  const own = await sent(app, `/states/${begun.state_id}`);
  assert.equal(own.open, false);
  assert.ok(own.tokens > 0 && own.pending_tokens > 0);
});

Deno.test("instructions are not messages of a conversation", async () => {
  const { app } = testApp({ script: ids(" a\n\n b\n\n") });
  const { id } = await sent(app, "/conversations", {});
  const ask = { conversation: id, instructions: "Be brief." };
  await sent(app, "/responses", { ...ask, input: "one" });
  const added = await sent(app, `/conversations/${id}/items`, {
    items: [{ role: "user", content: "x" }],
  });
  const all = await sent(app, `/conversations/${id}/items?order=asc`);
  assert.deepEqual(texts(all), ["user: one", "assistant: a", "user: x"]);
  assert.deepEqual(all.data.at(-1), added.data[0]);
  await sent(app, "/responses", { ...ask, input: "two" });
  const after = await sent(app, `/conversations/${id}/items?order=asc`);
  assert.deepEqual(texts(after), [...texts(all), "user: two", "assistant: b"]);
});

Deno.test("invalid items are rejected with the field's name", async () => {
  const { app } = testApp({ limits: { promptTokens: 100 } });
  const { id } = await sent(app, "/conversations", {});
  const user = { role: "user", content: "hi" };
  for (
    const [items, param] of [
      [[{ role: "user", content: " " }], "items[0].content"],
      [[{ type: "function_call_output", output: "x" }], "items[0].type"],
      [[{ role: "robot", content: "x" }], "items[0].role"],
      [Array(21).fill(user), "items"],
      ["hi", "items"],
    ] as const
  ) {
    for (const path of ["/conversations", `/conversations/${id}/items`]) {
      const error = await errorOf(send(app, path, { items }), 400, "invalid_value");
      assert.equal(error.param, param);
    }
  }
  await errorOf(send(app, `/conversations/${id}/items`, { items: [] }), 400, "invalid_value");
  const unchanged = await errorOf(
    send(app, `/conversations/${id}`, { items: [user] }),
    400,
    "unsupported_value",
  );
  assert.match(unchanged.message, /^items: .*POST \/v1\/conversations\/\{id\}\/items/);
  for (const length of [60, 500]) {
    const items = [{ role: "user", content: "x".repeat(length) }];
    const long = await errorOf(
      send(app, "/conversations", { items }),
      400,
      "context_length_exceeded",
    );
    assert.match(long.message, /^items: .* the limit is 50;/);
  }
  const missing = `/conversations/conv_${"0".repeat(48)}/items`;
  await errorOf(send(app, missing, { items: [user] }), 404, "conversation_not_found");
});

Deno.test("items cannot be added to a conversation whose state is missing", async () => {
  const { app } = testApp();
  const { id, state_id } = await sent(app, "/conversations", { items: ITEMS });
  await app.request(`/v1/states/${state_id}`, { method: "DELETE" });
  await errorOf(send(app, `/conversations/${id}/items`, { items: ITEMS }), 404, "state_not_found");
  await errorOf(send(app, `/conversations/${id}/items`), 404, "state_not_found");
});

Deno.test("concurrently added items are all stored", async () => {
  const { app } = testApp();
  const { id } = await sent(app, "/conversations", {});
  const names = ["a", "b", "c"];
  await Promise.all(
    names.map((content) =>
      sent(app, `/conversations/${id}/items`, { items: [{ role: "user", content }] })
    ),
  );
  const all = await sent(app, `/conversations/${id}/items`);
  assert.deepEqual(texts(all).sort(), names.map((name) => `user: ${name}`));
});
