/** OpenAI's client against the app on a real server. */

import assert from "node:assert/strict";
import OpenAI from "openai";
import { ids } from "../../session/fixtures.ts";
import { type TestApp, testApp } from "../fixtures.ts";

type Extended = OpenAI.ChatCompletionCreateParams & { state_id?: string | null };

async function withClient(
  it: TestApp,
  use: (client: OpenAI) => Promise<void>,
): Promise<void> {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, it.app.fetch);
  const baseURL = `http://127.0.0.1:${server.addr.port}/v1`;
  try {
    await use(new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 }));
  } finally {
    await server.shutdown();
    await it.sessions.settled();
  }
}

const HI: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "hi" }];

Deno.test("openai: completions, streams, resuming, errors", async () => {
  const it = testApp({ script: ids(" Hello\n\n wörld\n\n") });
  await withClient(it, async (client) => {
    const models = await client.models.list();
    assert.deepEqual(models.data.map(({ id }) => id), ["toy"]);
    const one = await client.chat.completions.create({ model: "toy", messages: HI });
    assert.equal(one.choices[0].message.content, "Hello");
    assert.match(one._request_id!, /^req_/);
    const { state_id } = one as unknown as { state_id: string };

    const body: Extended = { model: "toy", messages: HI, stream: true, state_id };
    const { data: stream, response } = await client.chat.completions
      .create({ ...body, stream: true, stream_options: { include_usage: true } })
      .withResponse();
    assert.match(response.headers.get("x-state-id")!, /^state_/);
    let text = "";
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, "wörld");
    assert.ok(usage!.prompt_tokens_details!.cached_tokens! > 0);

    await assert.rejects(
      client.chat.completions.create({ model: "gpt", messages: HI }),
      (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found",
    );
    await assert.rejects(
      client.chat.completions.create({ model: "toy", messages: HI, n: 17 }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === "n",
    );
  });
});

Deno.test("openai: several choices, with and without streaming", async () => {
  await withClient(testApp(), async (client) => {
    const request = { model: "toy", messages: HI, n: 3, seed: 5 } as const;
    const { choices, usage } = await client.chat.completions.create(request);
    assert.deepEqual(choices.map(({ index }) => index), [0, 1, 2]);
    const texts = choices.map(({ message }) => message.content);
    assert.equal(new Set(texts).size, 3);
    const streamed = ["", "", ""];
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      for (const { index, delta } of chunk.choices) streamed[index] += delta.content ?? "";
      if (chunk.usage) assert.deepEqual(chunk.usage, usage);
    }
    assert.deepEqual(streamed, texts);
    const alone = await Promise.all(
      [5, 6, 7].map((seed) => client.chat.completions.create({ ...request, n: 1, seed })),
    );
    assert.deepEqual(alone.map(({ choices }) => choices[0].message.content), texts);
    const written = alone.reduce((sum, { usage }) => sum + usage!.completion_tokens, 0);
    assert.equal(usage!.completion_tokens, written);
    assert.equal(usage!.prompt_tokens, alone[0].usage!.prompt_tokens);
    assert.equal(usage!.total_tokens, usage!.prompt_tokens + written);
  });
});

Deno.test("openai: an aborted stream leaves a resumable state", async () => {
  const before = () => new Promise<void>((resolve) => setTimeout(resolve, 2));
  const it = testApp({ before, script: ids(` ${"a".repeat(300)}`, 0) });
  await withClient(it, async (client) => {
    const { data: stream, response } = await client.chat.completions
      .create({ model: "toy", messages: HI, stream: true }).withResponse();
    let seen = 0;
    for await (const chunk of stream) {
      seen += chunk.choices[0].delta.content?.length ?? 0;
      if (seen > 5) break; // the client closes the connection
    }
    const state_id = response.headers.get("x-state-id");
    while (!it.runner.works[0].signal!.aborted) await before();
    const request: Extended = { model: "toy", messages: [], state_id };
    const rest = await client.chat.completions.create({ ...request, stream: false });
    const { length } = rest.choices[0].message.content!;
    assert.ok(length > 100 && length < 300, `the continuation has ${length} letters`);
  });
});

Deno.test("openai: a failure in a stream is thrown", async () => {
  const before = (sampled: number) => {
    if (sampled === 3) throw new TypeError("bug");
  };
  const it = testApp({ before, script: ids(" abcdef", 0) });
  await withClient(it, async (client) => {
    const stream = await client.chat.completions
      .create({ model: "toy", messages: HI, stream: true });
    await assert.rejects(
      async () => {
        for await (const _ of stream);
      },
      (error) => error instanceof OpenAI.APIError && error.code === "internal_error",
    );
  });
});

Deno.test("a disconnected client cancels its turn, which stores nothing", async () => {
  const before = () => new Promise<void>((resolve) => setTimeout(resolve, 2));
  const it = testApp({ before, script: ids(` ${"a".repeat(300)}`, 0) });
  await withClient(it, async (client) => {
    const leaving = new AbortController();
    const { signal } = leaving;
    const pending = client.chat.completions.create({ model: "toy", messages: HI }, { signal });
    while (it.runner.works.length === 0) await before();
    leaving.abort();
    await assert.rejects(pending);
    while (!it.runner.works[0].signal!.aborted) await before();
    await it.sessions.settled();
    for await (const { key } of it.backend.list(["default"])) assert.fail(`found ${key}`);
  });
});
