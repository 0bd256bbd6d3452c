/** `/v1/conversations`, and turns in conversations. */

import assert from "node:assert/strict";
import { ids, MODEL } from "../../session/fixtures.ts";
import { dataOf, errorOf, HI, post, testApp } from "../fixtures.ts";

type App = ReturnType<typeof testApp>["app"];

function send(app: App, path: string, body: unknown, method = "POST") {
  return app.request(`/v1/conversations${path}`, { method, body: JSON.stringify(body) });
}

Deno.test("a conversation is created, advanced by turns, updated and deleted", async () => {
  const { app } = testApp({ clock: () => 1_800_000_000_500, script: ids(" a\n\n b\n\n c\n\n") });
  const created = await (await send(app, "", { metadata: { topic: "x" } })).json();
  const { id } = created;
  assert.match(id, /^conv_[0-9a-f]{48}$/);
  assert.deepEqual(created, {
    id,
    object: "conversation",
    created_at: created.created_at,
    metadata: { topic: "x" },
    state_id: null,
  });
  const one = await (await post(app, { ...HI, conversation: id })).json();
  assert.equal(one.choices[0].message.content, "a");
  const read = async () => (await app.request(`/v1/conversations/${id}`)).json();
  assert.equal((await read()).state_id, one.state_id);
  const data = await dataOf(await post(app, { ...HI, conversation: { id }, stream: true }));
  const two = JSON.parse(data.at(-2)!);
  assert.equal((await read()).state_id, two.state_id);
  const back = await send(app, `/${id}`, { state_id: one.state_id });
  assert.deepEqual(await back.json(), { ...created, state_id: one.state_id });
  assert.deepEqual((await (await send(app, `/${id}`, { metadata: {} })).json()).metadata, {});
  const deleted = await app.request(`/v1/conversations/${id}`, { method: "DELETE" });
  assert.deepEqual(await deleted.json(), { id, object: "conversation.deleted", deleted: true });
  await errorOf(app.request(`/v1/conversations/${id}`), 404, "conversation_not_found");
  await errorOf(post(app, { ...HI, conversation: id }), 400, "conversation_not_found");
});

Deno.test("the second of two concurrent turns gets conversation_conflict with the state of its reply", async () => {
  for (const stream of [false, true]) {
    const gate = Promise.withResolvers<void>();
    const before = () => gate.promise;
    const slow = testApp({ before, script: ids(" a\n\n") });
    const fast = testApp({ backend: slow.backend, script: ids(" b\n\n") });
    const { id } = await (await send(slow.app, "", {})).json();
    const waiting = post(slow.app, { ...HI, conversation: id, stream });
    const first = await Promise.race([waiting, new Promise((r) => setTimeout(r, 20))]);
    await post(fast.app, { ...HI, conversation: id });
    gate.resolve();
    const response = await waiting;
    let lost: string;
    if (stream) {
      assert.ok(first);
      const events = (await dataOf(response)).map((line) => JSON.parse(line));
      assert.equal(events.at(-1).error.code, "conversation_conflict");
      assert.equal(events.at(-2).choices[0].finish_reason, "stop");
      lost = events.at(-2).state_id;
    } else {
      assert.equal(response.headers.get("x-should-retry"), "false");
      lost = response.headers.get("x-state-id")!;
      await errorOf(response, 409, "conversation_conflict");
    }
    const state = await (await fast.app.request(`/v1/states/${lost}`)).json();
    assert.equal(state.transcript.at(-1).content, "a");
  }
});

Deno.test("invalid conversations are rejected with the field's name", async () => {
  const { app } = testApp();
  const { id } = await (await send(app, "", {})).json();
  const bad: [unknown, string][] = [
    [{ metadata: { a: 1 } }, "metadata.a"],
    [{ metadata: { a: "x".repeat(513) } }, "metadata.a"],
    [{ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [i, ""])) }, "metadata"],
    [{ state_id: 5 }, "state_id"],
  ];
  for (const [body, param] of bad) {
    assert.equal((await errorOf(send(app, "", body), 400, "invalid_value")).param, param);
  }
  const unknown = { state_id: `state_${"0".repeat(48)}` };
  await errorOf(send(app, "", unknown), 400, "state_not_found");
  await errorOf(send(app, `/${id}`, unknown), 400, "state_not_found");
  await errorOf(send(app, "/conv_5", {}), 404, "conversation_not_found");
  await errorOf(app.request("/v1/conversations"), 405, "method_not_allowed");
  for (const change of [{ conversation: 5 }, { on_mismatch: "x" }, { state_ttl: 1 }]) {
    const error = await errorOf(post(app, { ...HI, ...change }), 400, "invalid_value");
    assert.equal(error.param, Object.keys(change)[0]);
  }
});

Deno.test("on_mismatch: reread reprocesses a state of another model", async () => {
  const { app, backend } = testApp({ script: ids(" a\n\n") });
  const one = await (await post(app, HI)).json();
  const model = { ...MODEL, fingerprint: "sha256:other" };
  const other = testApp({ backend, model, script: ids(" b\n\n") });
  const on = { ...HI, state_id: one.state_id };
  await errorOf(post(other.app, on), 409, "model_mismatch");
  const two = await (await post(other.app, { ...on, on_mismatch: "reread" })).json();
  assert.equal(two.usage.prompt_tokens_details.cached_tokens, 0);
  assert.equal(two.choices[0].message.content, "b");
});
