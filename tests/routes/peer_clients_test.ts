/** The app behind a real server, spoken to by Vercel's AI SDK and by LangChain. */

import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { APICallError, generateText, streamText } from "ai";
import { ids } from "../session/fixtures.ts";
import { type TestApp, testApp } from "./fixtures.ts";

const SCRIPT = ids(" Hello wörld.\n\n");

async function served(it: TestApp, use: (baseURL: string) => Promise<void>): Promise<void> {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, it.app.fetch);
  try {
    await use(`http://127.0.0.1:${server.addr.port}/v1`);
  } finally {
    await server.shutdown();
    await it.sessions.settled();
  }
}

Deno.test("ai: text, streams, usage, errors", async () => {
  await served(testApp({ script: SCRIPT }), async (baseURL) => {
    const model = (id: string) =>
      createOpenAICompatible({ name: "rwkv", baseURL, includeUsage: true })(id);
    const asked = { model: model("toy"), prompt: "hi", maxRetries: 0 };
    const whole = await generateText({ ...asked, temperature: 0, maxOutputTokens: 50 });
    assert.equal(whole.text, "Hello wörld.");
    assert.equal(whole.finishReason, "stop");
    assert.equal(whole.usage.outputTokens, SCRIPT.length);

    const stream = streamText(asked);
    let text = "";
    for await (const piece of stream.textStream) text += piece;
    assert.equal(text, "Hello wörld.");
    assert.equal(await stream.finishReason, "stop");
    assert.deepEqual((await stream.usage).outputTokens, SCRIPT.length);

    const cut = await generateText({ ...asked, maxOutputTokens: 2 });
    assert.equal(cut.finishReason, "length");
    await assert.rejects(
      generateText({ ...asked, model: model("gpt") }),
      (error) => APICallError.isInstance(error) && error.statusCode === 404 && !error.isRetryable,
    );
  });
});

Deno.test("langchain: invoke, stream, errors", async () => {
  await served(testApp({ script: SCRIPT }), async (baseURL) => {
    const model = (name: string) =>
      new ChatOpenAI({ model: name, apiKey: "none", maxRetries: 0, configuration: { baseURL } });
    const chat = model("toy");
    const reply = await chat.invoke([["system", "be brief"], ["human", "hi"]]);
    assert.equal(reply.content, "Hello wörld.");
    const usage = reply.response_metadata.tokenUsage as { completionTokens: number };
    assert.equal(usage.completionTokens, SCRIPT.length);
    let text = "";
    for await (const chunk of await chat.stream("hi")) text += chunk.content;
    assert.equal(text, "Hello wörld.");
    await assert.rejects(model("gpt").invoke("hi"), /gpt/);
  });
});
