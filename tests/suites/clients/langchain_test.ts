/** LangChain's `ChatOpenAI`. */

import assert from "node:assert/strict";
import { ChatOpenAI, type ChatOpenAIFields } from "@langchain/openai";
import { z } from "zod";
import { testWithWorker } from "./served.ts";

const PERSON = z.object({ name: z.string().min(1).max(12), likes: z.enum(["tea", "cake"]) });

function chatOf(baseURL: string, fields: ChatOpenAIFields = {}): ChatOpenAI {
  return new ChatOpenAI({
    model: "default",
    apiKey: "none",
    temperature: 0,
    maxRetries: 0,
    configuration: { baseURL },
    ...fields,
  });
}

interface Usage {
  input_tokens: number;
  output_tokens: number;
  total_tokens: number;
  input_token_details: { cache_read: number };
}

function usageOf({ usage_metadata }: { usage_metadata?: unknown }): Usage {
  assert.ok(usage_metadata);
  return usage_metadata as Usage;
}

testWithWorker("langchain: several messages and usage", async (baseURL) => {
  const chat = chatOf(baseURL);
  const first = await chat.invoke([["system", "Be brief."], ["human", "Hi! My name is Ada."]]);
  assert.match(first.text, /Ada/);
  assert.equal(first.response_metadata.finish_reason, "stop");
  const reply = await chat.invoke([
    ["system", "Be brief."],
    ["human", "Hi! My name is Ada."],
    first,
    ["human", "What is my name?"],
  ]);
  assert.match(reply.text, /Ada/);
  const usage = usageOf(reply);
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  assert.ok(usage.input_token_details.cache_read >= usageOf(first).input_tokens);
});

testWithWorker("langchain: a streamed reply equals the unstreamed one", async (baseURL) => {
  const chat = chatOf(baseURL);
  const unstreamed = await chat.invoke("Tell me a story.");
  const chunks = await Array.fromAsync(await chat.stream("Tell me a story."));
  assert.ok(chunks.filter(({ text }) => text !== "").length > 2, `${chunks.length} chunks`);
  const joined = chunks.reduce((all, chunk) => all.concat(chunk));
  assert.equal(joined.text, unstreamed.text);
  assert.equal(usageOf(joined).output_tokens, usageOf(unstreamed).output_tokens);
  assert.equal(usageOf(joined).input_tokens, usageOf(unstreamed).input_tokens);
});

testWithWorker(
  "langchain: withStructuredOutput constrains replies to its schema",
  async (baseURL) => {
    const options = { name: "person", method: "jsonSchema", strict: true } as const;
    const person = await chatOf(baseURL).withStructuredOutput(PERSON, options)
      .invoke("I am Ada, and I like tea.");
    assert.deepEqual(PERSON.parse(person), person);
    const { raw, parsed } = await chatOf(baseURL)
      .withStructuredOutput(PERSON, { ...options, includeRaw: true })
      .invoke("I am Ada, and I like tea.");
    assert.deepEqual(parsed, person);
    assert.deepEqual(JSON.parse(raw.text), person);
  },
);

testWithWorker("langchain: resuming through the Responses API", async (baseURL) => {
  const chat = chatOf(baseURL, { useResponsesApi: true });
  const first = await chat.invoke("Hi! My name is Ada.");
  const previous_response_id = String(first.response_metadata.id);
  const reply = await chat.invoke("What is my name?", { previous_response_id });
  assert.match(reply.text, /Ada/);
  assert.ok(usageOf(reply).input_token_details.cache_read > 0);
});

testWithWorker("langchain: a token limit truncates, and errors are thrown", async (baseURL) => {
  const cut = await chatOf(baseURL, { maxTokens: 3 }).invoke("Tell me a story.");
  assert.equal(cut.response_metadata.finish_reason, "length");
  assert.equal(usageOf(cut).output_tokens, 3);
  await assert.rejects(
    chatOf(baseURL, { model: "gpt-4o" }).invoke("Hi!"),
    (error: Error & { status?: number; code?: string }) =>
      error.status === 404 && error.code === "model_not_found",
  );
});
