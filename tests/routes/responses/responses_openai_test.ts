/** OpenAI's client against `/v1/responses` on a real server. */

import assert from "node:assert/strict";
import OpenAI from "openai";
import type { Backend } from "../../../src/store/backends/backend.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { ids } from "../../session/fixtures.ts";
import { type TestApp, testApp } from "../fixtures.ts";

async function withClient<T>(it: TestApp, use: (client: OpenAI) => Promise<T>): Promise<T> {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, it.app.fetch);
  const baseURL = `http://127.0.0.1:${server.addr.port}/v1`;
  try {
    return await use(new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 }));
  } finally {
    await server.shutdown();
    await it.sessions.settled();
  }
}

interface Said {
  id: string;
  text: string;
  cached: number;
}

/** Runs one turn on a new worker that shares only the store. */
function say(backend: Backend, turn: number, previous: string | null, stream: boolean) {
  return withClient(testApp({ backend }), async (client): Promise<Said> => {
    const request = { input: `turn ${turn}`, previous_response_id: previous, seed: turn };
    const response = stream
      ? await client.responses.stream({ model: "toy", ...request }).finalResponse()
      : await client.responses.create({ model: "toy", ...request });
    return {
      id: response.id,
      text: response.output_text,
      cached: response.usage!.input_tokens_details.cached_tokens,
    };
  });
}

Deno.test("openai: twelve turns with previous_response_id, each on a new worker, form one conversation", async () => {
  const { sessions } = testApp();
  const texts: string[] = [];
  let stateId: string | undefined;
  for (let turn = 0; turn < 12; turn++) {
    const messages = [{ role: "user" as const, content: `turn ${turn}` }];
    const result = await (await sessions.start({ messages, stateId, seed: BigInt(turn) })).result();
    texts.push(result.text);
    stateId = result.stateId!;
  }
  for (const stream of [false, true]) {
    const backend = new MemoryBackend();
    let previous: Pick<Said, "id" | "cached"> = { id: "", cached: -1 };
    for (let turn = 0; turn < 12; turn++) {
      const said = await say(backend, turn, previous.id || null, stream);
      assert.equal(said.text, texts[turn], `turn ${turn}`);
      assert.ok(said.cached > previous.cached, `turn ${turn} reprocessed earlier tokens`);
      previous = said;
    }
  }
});

Deno.test("openai: responses are retrieved, listed and deleted; cancelling fails", async () => {
  await withClient(testApp({ script: ids(" Hello\n\n") }), async (client) => {
    const { responses, conversations } = client;
    const conversation = await conversations.create();
    const made = await responses.create({
      model: "toy",
      input: [{ role: "developer", content: "x" }, { role: "user", content: "hi" }],
      conversation: conversation.id,
      instructions: "Be brief",
    });
    assert.equal(made.output_text, "Hello");
    const again = await responses.retrieve(made.id);
    const { _request_id: _made, ...first } = made;
    const { _request_id: _again, ...second } = again;
    assert.deepEqual(second, first);
    const items = await Array.fromAsync(responses.inputItems.list(made.id, { limit: 1 }));
    assert.deepEqual(items.map((item) => "role" in item && item.role), ["user", "developer"]);
    const listed = conversations.items.list(conversation.id, { order: "asc", limit: 2 });
    const said = await Array.fromAsync(listed);
    assert.deepEqual(said.map((item) => "role" in item && item.role), [
      "developer",
      "user",
      "assistant",
    ]);
    await assert.rejects(
      responses.cancel(made.id),
      (error) => error instanceof OpenAI.BadRequestError && /synchronous/.test(error.message),
    );
    await responses.delete(made.id);
    await assert.rejects(responses.retrieve(made.id), OpenAI.NotFoundError);
    await assert.rejects(
      responses.create({ model: "toy", input: "x", previous_response_id: made.id }),
      (error) =>
        error instanceof OpenAI.BadRequestError && error.code === "previous_response_not_found" &&
        error.param === "previous_response_id",
    );
  });
});

Deno.test("openai: conversations have initial items, and items are added and retrieved", async () => {
  await withClient(testApp({ script: ids(" Hello\n\n") }), async (client) => {
    const { responses, conversations } = client;
    const item = (content: string) => ({ type: "message", role: "user", content }) as const;
    const { id } = await conversations.create({ items: [item("one")], metadata: { topic: "tea" } });
    const { data: [added] } = await conversations.items.create(id, { items: [item("two")] });
    assert.ok("role" in added && added.role === "user");
    assert.deepEqual(
      await conversations.items.retrieve(added.id!, { conversation_id: id }),
      added,
    );
    await responses.create({ model: "toy", input: "three", conversation: id });
    const said = await Array.fromAsync(conversations.items.list(id, { order: "asc" }));
    const texts = said.map((item) =>
      item.type === "message" && "text" in item.content[0] &&
      item.content[0].text
    );
    assert.deepEqual(texts, ["one", "two", "three", "Hello"]);
    await assert.rejects(
      conversations.items.retrieve("msg_5", { conversation_id: id }),
      OpenAI.NotFoundError,
    );
  });
});
