/** Storage limits of a tenant. */

import assert from "node:assert/strict";
import type { KeyLimits } from "../../../src/store/keys/key_limits.ts";
import { errorOf, HI } from "../fixtures.ts";
import { askAs, type TenantApp, tenantApp } from "../tenant_app.ts";

const CHAT = "/v1/chat/completions";

function limitedApp(defaults: KeyLimits): Promise<TenantApp> {
  const keys = [{ name: "large", tenant: "ada", limits: { states: 4 } }];
  return tenantApp(["ada", "bob"], { keys, limits: { defaults }, metricsToken: "token" });
}

function chat(it: TenantApp, key: string, body: object = {}, headers = {}): Promise<Response> {
  return askAs(it, key, [CHAT, { body: { ...HI, ...body }, headers }]);
}

async function stateOf(answer: Promise<Response>): Promise<string> {
  const { state_id, ...rest } = await (await answer).json();
  assert.ok(state_id, JSON.stringify(rest));
  return state_id;
}

async function remove(it: TenantApp, path: string): Promise<void> {
  const answer = await askAs(it, "ada", [path, { method: "DELETE" }]);
  assert.equal(answer.status, 200);
  await answer.body?.cancel();
}

Deno.test("a turn above the state limit is rejected before it runs, on every route", async () => {
  const it = await limitedApp({ states: 2 });
  const first = await stateOf(chat(it, "ada"));
  const fork = await errorOf(chat(it, "ada", { n: 2 }), 403, "storage_limit_exceeded");
  assert.equal(
    fork.message,
    "Cannot store 2 more states: this key's tenant has 1 of 2; " +
      "delete states (DELETE /v1/states/{id}), or send store: false",
  );
  assert.equal(fork.type, "invalid_request_error");
  const file = new Uint8Array(
    await (await askAs(it, "ada", [`/v1/states/${first}/content`, { method: "GET" }]))
      .arrayBuffer(),
  );
  const streamed = await chat(it, "ada", { state_id: first, stream: true });
  await streamed.text();
  const { length } = it.runner.works;
  const refused: [string, object][] = [
    [CHAT, { ...HI }],
    [CHAT, { ...HI, state_id: first }],
    [CHAT, { ...HI, stream: true }],
    ["/v1/completions", { prompt: "hi" }],
    ["/v1/responses", { input: "hi" }],
    ["/v1/states", file],
  ];
  for (const [path, body] of refused) {
    await errorOf(askAs(it, "ada", [path, { body }]), 403, "storage_limit_exceeded");
  }
  assert.equal(it.runner.works.length, length);
  // These store nothing, and other tenants are not affected.
  for (const [path, body] of refused.slice(0, -1)) {
    const unstored = await askAs(it, "ada", [path, { body: { ...body, store: false } }]);
    assert.equal(unstored.status, 200, path);
    await unstored.text();
  }
  await stateOf(chat(it, "bob"));
  // A key with a higher limit can store more, and a deleted state frees one.
  await stateOf(chat(it, "large"));
  await errorOf(chat(it, "ada"), 403, "storage_limit_exceeded");
  await remove(it, `/v1/states/${first}`);
  await errorOf(chat(it, "ada"), 403, "storage_limit_exceeded");
  await remove(it, `/v1/states/${streamed.headers.get("x-state-id")}`);
  const imported = await askAs(it, "ada", ["/v1/states", { body: file }]);
  assert.equal(imported.status, 201);
  await imported.text();
});

Deno.test("concurrent turns each reserve storage", async () => {
  const it = await limitedApp({ states: 3 });
  for (const stream of [false, true]) {
    const answers = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const { status, body } = await chat(it, "ada", { stream });
        await new Response(body).text();
        return status;
      }),
    );
    const taken = answers.filter((status) => status === 200).length;
    assert.equal(taken, stream ? 0 : 3);
    assert.equal(answers.filter((status) => status === 403).length, 6 - taken);
  }
});

Deno.test("a turn rejected for another reason reserves no storage", async () => {
  const it = await limitedApp({ states: 1 });
  const gone = { state_id: `state_${"0".repeat(48)}` };
  for (let i = 0; i < 3; i++) await errorOf(chat(it, "ada", gone), 400, "state_not_found");
  await stateOf(chat(it, "ada"));
});

Deno.test("conversation items count as states", async () => {
  const it = await limitedApp({ states: 2 });
  const items = [{ role: "user", content: "hi" }];
  const make = () => askAs(it, "ada", ["/v1/conversations", { body: { items } }]);
  const made = await make();
  assert.equal(made.status, 200);
  const { id } = await made.json();
  const add = () => askAs(it, "ada", [`/v1/conversations/${id}/items`, { body: { items } }]);
  const added = await add();
  assert.equal(added.status, 200);
  await added.text();
  await errorOf(add(), 403, "storage_limit_exceeded");
  await errorOf(make(), 403, "storage_limit_exceeded");
  // A conversation that could not be created is not counted.
  const plain = await askAs(it, "ada", ["/v1/conversations", { body: {} }]);
  assert.equal(plain.status, 200);
  await plain.text();
});

Deno.test("the state limit also limits conversations, whose turns count as states", async () => {
  const it = await limitedApp({ states: 2 });
  const make = () => askAs(it, "ada", ["/v1/conversations", { body: {} }]);
  const ids = [];
  for (let i = 0; i < 2; i++) {
    const made = await make();
    assert.equal(made.status, 200);
    ids.push((await made.json()).id);
  }
  const { message } = await errorOf(make(), 403, "storage_limit_exceeded");
  assert.match(message, /^Cannot store 1 more conversations: .* has 2 of 2 .*DELETE \/v1\/conv/);
  const [conversation] = ids;
  for (let i = 0; i < 2; i++) await stateOf(chat(it, "ada", { conversation }));
  await errorOf(chat(it, "ada", { conversation }), 403, "storage_limit_exceeded");
  await remove(it, `/v1/conversations/${conversation}`);
  const again = await make();
  assert.equal(again.status, 200);
  await again.text();
});

Deno.test("stored bytes are the sum of the states' bytes, and a new state reserves the model's state size", async () => {
  const turn = { seed: 1, max_tokens: 3 };
  const open = await limitedApp({ bytes: 100_000 });
  const get = async (path: string) =>
    await (await askAs(open, "ada", [path, { method: "GET" }])).json();
  const { bytes } = await get(`/v1/states/${await stateOf(chat(open, "ada", turn))}`);
  const { stored } = (await get("/v1/models/toy")).state_bytes;
  const enough = await limitedApp({ bytes: bytes + stored });
  for (let i = 0; i < 2; i++) await stateOf(chat(enough, "ada", turn));
  const it = await limitedApp({ bytes: bytes + stored - 1 });
  const first = await stateOf(chat(it, "ada", turn));
  const { message } = await errorOf(chat(it, "ada"), 403, "storage_limit_exceeded");
  assert.ok(
    message.startsWith(
      `Cannot store ${stored} more bytes: this key's tenant has ${bytes} of ` +
        `${bytes + stored - 1}; delete states`,
    ),
    message,
  );
  const metrics = await it.app.request("/metrics", { headers: { authorization: "Bearer token" } });
  assert.match(await metrics.text(), /rwkv:limit_rejections_total\{limit="bytes"\} 1\n/);
  await remove(it, `/v1/states/${first}`);
  await stateOf(chat(it, "ada"));
});

Deno.test("storage_limit_exceeded is not stored for an Idempotency-Key, and does not count as a request", async () => {
  const it = await limitedApp({ states: 1, requestsPerMinute: 3 });
  const id = await stateOf(chat(it, "ada"));
  const once = { "idempotency-key": "one" };
  for (let i = 0; i < 5; i++) {
    await errorOf(chat(it, "ada", {}, once), 403, "storage_limit_exceeded");
  }
  await remove(it, `/v1/states/${id}`);
  const answer = await chat(it, "ada", {}, once);
  assert.deepEqual([answer.status, answer.headers.get("x-ratelimit-remaining-requests")], [
    200,
    "1",
  ]);
  await answer.text();
});
