/**
 * Isolation of tenants on every route with an id: another tenant's resources behave as if they did
 * not exist, in status, headers and body, and are not changed. Routes and fields come from
 * `/openapi.json`, so the test fails for a new one until it is covered here.
 */

import assert from "node:assert/strict";
import { askAs, type Asked, type TenantApp, tenantApp } from "./tenant_app.ts";

/** Any object of the document or of a response. */
// deno-lint-ignore no-explicit-any -- JSON
type Json = any;

const it = await tenantApp(["ada", "bob"]);
const document: Json = await (await it.app.request("/openapi.json")).json();

interface Operation {
  name: string;
  method: string;
  path: string;
  /** Names of the body's fields. */
  fields: string[];
  headers: string[];
}

const operations = Object.entries<Json>(document.paths).flatMap(([path, item]) =>
  Object.entries<Json>(item).map(([method, operation]): Operation => ({
    name: operation.operationId,
    method: method.toUpperCase(),
    path,
    fields: fieldsOf(operation.requestBody?.content["application/json"]?.schema),
    headers: (operation.parameters ?? []).filter((one: Json) => one.in === "header")
      .map((one: Json) => one.name),
  }))
);

function fieldsOf(schema: Json): string[] {
  if (schema === undefined) return [];
  if (schema.$ref) return fieldsOf(document.components.schemas[schema.$ref.split("/").at(-1)]);
  const parts = [...schema.allOf ?? [], ...schema.anyOf ?? [], ...schema.oneOf ?? []];
  return [...Object.keys(schema.properties ?? {}), ...parts.flatMap(fieldsOf)];
}

const IDS = ["state", "conversation", "response"] as const;
type Kind = typeof IDS[number];

/** The kind of id in a path; `null` for shared resources. */
const PATHS: Record<string, Kind | null> = {
  "/v1/states/{id}": "state",
  "/v1/states/{id}/content": "state",
  "/v1/conversations/{id}": "conversation",
  "/v1/conversations/{id}/items": "conversation",
  "/v1/conversations/{id}/items/{item_id}": "conversation",
  "/v1/responses/{id}": "response",
  "/v1/responses/{id}/cancel": "response",
  "/v1/responses/{id}/input_items": "response",
  "/v1/models/{id}": null,
};

/** The kind of id in a field of a body. */
const FIELDS: Record<string, Kind> = {
  state_id: "state",
  conversation: "conversation",
  previous_response_id: "response",
};

const HI = [{ role: "user", content: "hi" }];

/** The other fields of a body. */
const BODIES: Record<string, Json> = {
  createChatCompletion: { messages: HI, max_tokens: 4 },
  createCompletion: { prompt: "hi", max_tokens: 4 },
  createResponse: { input: "hi", max_output_tokens: 4 },
  createConversation: {},
  updateConversation: { metadata: { taken: "over" } },
  createConversationItems: { items: [{ role: "user", content: "hi" }] },
};

type Ids = Record<Kind, string>;

/** Creates a state, a conversation with a state, and a response. */
async function idsOf(tenant: string): Promise<Ids> {
  const made = async (path: string, body: Json) => {
    const answer = await askAs(it, tenant, [path, { body }]);
    assert.equal(answer.status, 200);
    return await answer.json();
  };
  const chat = BODIES.createChatCompletion;
  const { state_id } = await made("/v1/chat/completions", chat);
  const { id: conversation } = await made("/v1/conversations", {});
  await made("/v1/chat/completions", { ...chat, conversation });
  const { id: response } = await made("/v1/responses", BODIES.createResponse);
  return { state: state_id, conversation, response };
}

/** Unknown ids with the length of real ones. */
const UNKNOWN: Ids = {
  state: `state_${"0".repeat(48)}`,
  conversation: `conv_${"0".repeat(48)}`,
  response: `resp_${"0".repeat(48)}`,
};

interface Attempt {
  name: string;
  kind: Kind;
  ask: (id: string) => [string, Asked];
}

/** Returns a path with an id, and with the id of its first message. */
function at(path: string, id: string): string {
  const item = `msg_${id.slice("conv_".length).slice(0, 12)}${"0".repeat(8)}`;
  return path.replace("{id}", id).replace("{item_id}", item);
}

/** Returns every way to reference an id in a request. */
function attempts(): Attempt[] {
  return operations.flatMap(({ name, method, path, fields }): Attempt[] => {
    const inPath = path.includes("{") ? PATHS[path] : null;
    assert.notEqual(inPath, undefined, `PATHS has no entry for ${path}`);
    const named = fields.filter((field) => /(^|_)id$|^conversation$/.test(field));
    const body = BODIES[name];
    const withBody = method === "POST" && body !== undefined ? { body } : {};
    const byPath: Attempt[] = inPath
      ? [{
        name,
        kind: inPath,
        ask: (id) => [at(path, id), { method, ...withBody }],
      }]
      : [];
    const byField = named.flatMap((field): Attempt[] => {
      assert.ok(field in FIELDS, `FIELDS has no entry for ${field} of ${name}`);
      assert.ok(body, `BODIES has no entry for ${name}`);
      return [false, true].map((stream) => ({
        name: `${name} with ${field}${stream ? ", streamed" : ""}`,
        kind: FIELDS[field],
        ask: (id) => [path, { method, body: { ...body, [field]: id, stream } }],
      }));
    });
    return [...byPath, ...path.includes("{") ? [] : byField];
  });
}

/** Returns the visible response without the sent id and the request id. */
async function seen(answer: Response, id: string) {
  const headers = Object.fromEntries(answer.headers);
  delete headers["x-request-id"];
  return { status: answer.status, headers, body: (await answer.text()).replaceAll(id, "ID") };
}

/** Returns all data that a tenant can read. */
async function all(tenant: string, ids: Ids) {
  const reads = operations.filter(({ method, path }) => method === "GET" && PATHS[path]);
  return await Promise.all(reads.map(async ({ path }) => {
    const id = ids[PATHS[path]!];
    const answer = await askAs(it, tenant, [at(path, id), { method: "GET" }]);
    assert.equal(answer.status, 200, path);
    const text = await answer.text();
    // Using a state only extends its lifetime.
    return text.replace(/"expires_at":\d+/, "");
  }));
}

Deno.test("every route treats another tenant's id like an unknown id", async () => {
  const ids = await idsOf("ada");
  const before = await all("ada", ids);
  const tried = attempts();
  // Guards against a mistake in this test that would skip the attempts.
  assert.ok(tried.length >= 20, tried.map(({ name }) => name).join(", "));
  for (const { name, kind, ask } of tried) {
    const foreign = await seen(await askAs(it, "bob", ask(ids[kind])), ids[kind]);
    const unknown = await seen(await askAs(it, "bob", ask(UNKNOWN[kind])), UNKNOWN[kind]);
    assert.deepEqual(foreign, unknown, name);
    assert.ok(foreign.status >= 400 && foreign.status < 500, `${name}: ${foreign.body}`);
    assert.match(foreign.body, /_not_found/, name);
  }
  assert.deepEqual(await all("ada", ids), before);
  // The same requests succeed for the owner.
  for (const { name, kind, ask } of tried.filter(({ name }) => !/^delete/.test(name))) {
    const own = await askAs(it, "ada", ask(ids[kind]));
    await own.text();
    assert.equal(own.status, name === "cancelResponse" ? 400 : 200, name);
  }
});

Deno.test("a conversation cannot be moved to another tenant's state", async () => {
  const [ada, bob] = [await idsOf("ada"), await idsOf("bob")];
  const body = (state: string) => ({ body: { state_id: state } });
  const path = `/v1/conversations/${bob.conversation}`;
  const before = await all("bob", bob);
  const foreign = await seen(await askAs(it, "bob", [path, body(ada.state)]), ada.state);
  const unknown = await seen(await askAs(it, "bob", [path, body(UNKNOWN.state)]), UNKNOWN.state);
  assert.deepEqual(foreign, unknown);
  assert.equal(foreign.status, 400);
  assert.deepEqual(await all("bob", bob), before);
});

Deno.test("without a key, every route below /v1 returns 401", async () => {
  const ids = await idsOf("ada");
  const bodies = new Set<string>();
  const below = operations.filter(({ path }) => path.startsWith("/v1/"));
  assert.ok(below.length >= 18);
  for (const { method, path } of below) {
    const kind = PATHS[path];
    const asked: [string, Asked] = [path.replace("{id}", kind ? ids[kind] : "toy"), { method }];
    for (const tenant of [null, "eve"]) {
      const answer = await askAs(it, tenant, asked);
      assert.equal(answer.status, 401, `${method} ${path}`);
      assert.equal(answer.headers.get("www-authenticate"), "Bearer");
      bodies.add(await answer.text());
    }
  }
  assert.equal(bodies.size, 1);
});

interface Usage {
  prompt_tokens_details: { cached_tokens: number };
}

async function cached(tenant: string, messages: Json): Promise<number> {
  const body = { messages, max_tokens: 4 };
  const answer = await askAs(it, tenant, ["/v1/chat/completions", { body }]);
  const { usage }: { usage: Usage } = await answer.json();
  return usage.prompt_tokens_details.cached_tokens;
}

Deno.test("prefix caching does not match another tenant's history", async () => {
  const ask = { role: "user", content: "what do you know?" };
  const first = await askAs(it, "ada", ["/v1/chat/completions", { body: { messages: [ask] } }]);
  const { choices: [{ message }] } = await first.json();
  const history = [ask, message, { role: "user", content: "and what else?" }];
  assert.equal(await cached("bob", history), 0);
  assert.ok(await cached("ada", history) > 0);
  // Neither tenant's prompts affect the other's cached tokens.
  assert.equal(await cached("bob", [...history.slice(0, 2), { role: "user", content: "no" }]), 0);
});

Deno.test("another tenant's system prompt is processed again", async () => {
  const system = { role: "system", content: "You are a secret. ".repeat(20) };
  const messages = (content: string) => [system, { role: "user", content }];
  await cached("ada", messages("one"));
  assert.ok(await cached("ada", messages("two")) > 0);
  assert.equal(await cached("bob", messages("two")), 0);
  assert.ok(await cached("bob", messages("three")) > 0);
});

Deno.test("idempotency keys are separate per tenant on every route", async () => {
  const taking = operations.filter(({ headers }) => headers.includes("idempotency-key"));
  assert.ok(taking.length >= 3);
  for (const { name, path } of taking) {
    assert.ok(BODIES[name], `BODIES has no entry for ${name}`);
    const headers = { "idempotency-key": `the same for ${name}` };
    const ask = async (tenant: string, body: Json) => {
      const answer = await askAs(it, tenant, [path, { body, headers }]);
      const replayed = answer.headers.get("idempotent-replayed");
      return { ...await answer.json(), status: answer.status, replayed };
    };
    const body = BODIES[name];
    const ada = await ask("ada", body);
    // With a shared key, the same body would be replayed and another one rejected.
    const bob = await ask("bob", body);
    assert.deepEqual([ada.status, bob.status, bob.replayed], [200, 200, null], name);
    assert.notEqual(ada.state_id, bob.state_id);
    const other = await ask("bob", { ...body, temperature: 0.5 });
    const again = await ask("ada", body);
    assert.deepEqual([again.replayed, again.state_id], ["true", ada.state_id], name);
    assert.equal(other.status, 422, name);
  }
});

Deno.test("a state file can be imported by another tenant, and does not reveal its owner", async () => {
  const { state } = await idsOf("ada");
  const content = `/v1/states/${state}/content`;
  const file = await (await askAs(it, "ada", [content, { method: "GET" }])).bytes();
  const imported = await askAs(it, "bob", ["/v1/states", { body: file }]);
  assert.equal(imported.status, 201);
  const { id } = await imported.json();
  assert.notEqual(id, state);
  const look = async (tenant: string, id: string) => {
    const answer = await askAs(it, tenant, [`/v1/states/${id}`, { method: "GET" }]);
    await answer.body?.cancel();
    return answer.status;
  };
  assert.deepEqual([await look("bob", id), await look("ada", id)], [200, 404]);
  assert.deepEqual([await look("bob", state), await look("ada", state)], [404, 200]);
  const gone = await askAs(it, "bob", [`/v1/states/${id}`, { method: "DELETE" }]);
  await gone.body?.cancel();
  assert.deepEqual([await look("bob", id), await look("ada", state)], [404, 200]);
});

Deno.test("a running turn is not visible to another tenant", async () => {
  const running: TenantApp = await tenantApp(["ada", "bob"]);
  const body = { messages: HI, stream: true, max_tokens: 50 };
  const stream = await askAs(running, "ada", ["/v1/chat/completions", { body }]);
  const id = stream.headers.get("x-state-id")!;
  const look = (tenant: string) => askAs(running, tenant, [`/v1/states/${id}`, { method: "GET" }]);
  const [ada, bob] = [await look("ada"), await look("bob")];
  assert.deepEqual([ada.status, bob.status], [200, 404]);
  for (const answer of [stream, ada, bob]) await answer.text();
});
