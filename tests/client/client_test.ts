/** Tests the client against a real server with the toy model. */

import assert from "node:assert/strict";
import { ApiError, type Client, createClient } from "../../mod.ts";
import { ids } from "../session/fixtures.ts";
import { type TestApp, testApp } from "../routes/fixtures.ts";
import { tenantApp } from "../routes/tenant_app.ts";

async function withClient(it: TestApp, use: (client: Client) => Promise<void>): Promise<void> {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, it.app.fetch);
  try {
    await use(createClient({ baseURL: `http://127.0.0.1:${server.addr.port}/v1/` }));
  } finally {
    await server.shutdown();
    await it.sessions.settled();
  }
}

const messages = [{ role: "user" as const, content: "hi" }];

function isError(code: string, status: number): (error: unknown) => boolean {
  return (error) => error instanceof ApiError && error.code === code && error.status === status;
}

Deno.test("client: a chat session resumes from its state, complete and streamed", async () => {
  const it = testApp({ script: ids(" Hello\n\n wörld.\n\n yes\n\n") });
  await withClient(it, async (client) => {
    const session = client.conversation({ system: "be brief" });
    assert.equal(session.stateId, null);
    const first = await session.send("hi");
    assert.equal(first.text, "Hello");
    assert.equal(first.finishReason, "stop");
    assert.equal(session.stateId, first.stateId);
    const stream = await session.stream("and?");
    assert.equal(session.stateId, stream.stateId);
    const pieces: string[] = [];
    for await (const piece of stream) pieces.push(piece);
    const second = await stream.reply();
    assert.equal(pieces.join(""), "wörld.");
    assert.equal(second.text, "wörld.");
    assert.ok(second.usage.prompt_tokens_details.cached_tokens > 0);
    assert.equal(session.stateId, second.stateId);
    const later = client.conversation({ stateId: session.stateId });
    assert.equal((await later.send("sure?")).text, "yes");
    const { transcript } = await client.states.get(later.stateId!);
    assert.deepEqual(transcript.map(({ content }) => content), [
      "be brief",
      "hi",
      "Hello",
      "and?",
      "wörld.",
      "sure?",
      "yes",
    ]);
  });
});

Deno.test("client: an abandoned reply can be continued, and a fork does not change its session", async () => {
  const before = () => new Promise<void>((resolve) => setTimeout(resolve, 2));
  const it = testApp({ script: ids(" abcdefghijklmnopqrstuvwxyz\n\n"), before });
  await withClient(it, async (client) => {
    const session = client.conversation({ params: { max_tokens: 50 } });
    const stream = await session.stream("hi");
    let shown = "";
    for await (const piece of stream) {
      shown += piece;
      if (shown.length > 2) break;
    }
    await assert.rejects(stream.reply(), isError("broken_off", 200));
    const before = session.stateId;
    const rest = await session.fork().continueReply();
    assert.equal(session.stateId, before);
    const { transcript } = await client.states.get(rest.stateId!);
    assert.equal(transcript.at(-1)!.content, "abcdefghijklmnopqrstuvwxyz");
    const short = await client.stream({ messages, max_tokens: 3 });
    assert.equal((await short.reply()).finishReason, "length");
    await assert.rejects(async () => {
      for await (const _ of short);
    }, /it was read already/);
  });
});

Deno.test("client: states can be exported, imported and deleted", async () => {
  await withClient(testApp({ script: ids(" a\n\n b\n\n") }), async (client) => {
    const { stateId } = await client.chat({ messages });
    const file = await client.states.export(stateId!);
    const state = await client.states.import(file);
    assert.notEqual(state.id, stateId);
    await client.states.delete(stateId!);
    await assert.rejects(client.states.get(stateId!), (error) => {
      assert.ok(isError("state_not_found", 404)(error));
      assert.equal((error as ApiError).param, "state_id");
      assert.match((error as ApiError).requestId!, /^req_/);
      return true;
    });
    assert.equal((await client.conversation({ stateId: state.id }).send("hi")).text, "b");
  });
});

Deno.test("client: conversations, models, health", async () => {
  await withClient(testApp({ script: ids(" a\n\n") }), async (client) => {
    const { id } = await client.conversations.create({ metadata: { topic: "tea" } });
    const { stateId } = await client.chat({ messages, conversation: id });
    assert.equal((await client.conversations.get(id)).state_id, stateId);
    const changed = await client.conversations.update(id, { metadata: {} });
    assert.deepEqual(changed.metadata, {});
    await client.conversations.delete(id);
    await assert.rejects(client.conversations.get(id), isError("conversation_not_found", 404));
    const [model] = await client.models.list();
    assert.deepEqual(await client.models.get("default"), model);
    assert.equal((await client.health()).status, "ok");
    assert.equal((await client.complete({ messages, n: 3 })).choices.length, 3);
    const { choices: [text] } = await client.completeText({ prompt: "Once", max_tokens: 2 });
    assert.equal(text.text, " a");
    assert.equal(text.finish_reason, "length");
  });
});

Deno.test("client: a call with an idempotency key runs once", async () => {
  const it = testApp();
  await withClient(it, async (client) => {
    const options = { idempotencyKey: crypto.randomUUID() };
    const once = await client.chat({ messages }, options);
    assert.deepEqual(await client.chat({ messages }, options), once);
    assert.equal(it.runner.works.length, 1);
  });
});

Deno.test("client: responses that no worker sends are ApiErrors with the code unknown", async () => {
  const answering = (body: BodyInit, headers: HeadersInit = {}) =>
    createClient({
      baseURL: "http://proxy.test",
      fetch: () => Promise.resolve(new Response(body, { headers })),
    });
  const choice = { index: 0, delta: { content: "a" }, finish_reason: null };
  const events: unknown[] = [
    ...[null, 1, "text", [], {}, { choices: null }, { choices: [null] }, { choices: [{}] }],
    { choices: [{ ...choice, delta: null }] },
    { choices: [{ ...choice, delta: { content: 5 } }] },
    { choices: [{ ...choice, finish_reason: "who knows" }] },
    { choices: [{ ...choice, state_id: {} }] },
    { choices: [choice], usage: 5 },
  ];
  for (const body of [...events.map((event) => JSON.stringify(event)), "{", "[DONE] "]) {
    const stream = await answering(`data: ${body}\n\n`).stream({ messages });
    await assert.rejects(stream.reply(), isError("unknown", 200), body);
  }
  for (const body of ["", "<html>", "{"]) {
    await assert.rejects(answering(body).models.get("a"), isError("unknown", 200), body);
  }
  const endless = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(97)),
  });
  await assert.rejects(
    (await answering(endless).stream({ messages })).reply(),
    isError("unknown", 200),
  );
});

Deno.test("client: errors in a stream and from a proxy are ApiErrors", async () => {
  const before = (sampled: number) => {
    if (sampled === 2) throw new TypeError("secret");
  };
  await withClient(testApp({ before, script: ids(" abcdef", 0) }), async (client) => {
    const stream = await client.stream({ messages });
    await assert.rejects(stream.reply(), (error) => {
      assert.ok(isError("internal_error", 200)(error));
      assert.equal((error as ApiError).stateId, stream.stateId);
      return true;
    });
  });
  const sent: [string, HeadersInit | undefined][] = [];
  const client = createClient({
    baseURL: "http://proxy.test/rwkv",
    apiKey: "secret",
    fetch: (input, init) => {
      sent.push([String(input), init?.headers]);
      return Promise.resolve(
        new Response("busy", { status: 502, headers: { "retry-after": "7" } }),
      );
    },
  });
  await assert.rejects(client.models.list(), (error) => {
    assert.ok(isError("unknown", 502)(error));
    assert.equal((error as ApiError).retryAfter, 7);
    return true;
  });
  const later = createClient({
    baseURL: "http://proxy.test",
    fetch: () =>
      Promise.resolve(
        new Response("", {
          status: 503,
          headers: { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" },
        }),
      ),
  });
  await assert.rejects(later.models.list(), { code: "unknown", retryAfter: undefined });
  assert.deepEqual(sent, [["http://proxy.test/rwkv/v1/models", {
    authorization: "Bearer secret",
  }]]);
});

Deno.test("client: the API key is sent with every call, and a wrong key is rejected", async () => {
  const { app } = await tenantApp(["ada", "bob"]);
  const clientOf = (apiKey?: string) =>
    createClient({
      baseURL: "http://worker",
      apiKey,
      fetch: async (input, init) => await app.request(`${input}`, init),
    });
  const [ada, bob] = [clientOf("ada-key"), clientOf("bob-key")];
  const session = ada.conversation();
  await session.send("hi");
  const stream = await session.stream("and?");
  for await (const _ of stream);
  const id = session.stateId!;
  const file = await ada.states.export(id);
  assert.equal((await ada.states.get(id)).id, id);
  await assert.rejects(bob.states.get(id), isError("state_not_found", 404));
  assert.notEqual((await bob.states.import(file)).id, id);
  for (const client of [clientOf(), clientOf("wrong")]) {
    await assert.rejects(client.states.get(id), isError("invalid_api_key", 401));
    await assert.rejects(client.models.list(), isError("invalid_api_key", 401));
    assert.equal((await client.health()).status, "ok");
  }
});
