/** Vercel's AI SDK with OpenAI's own provider, which uses the Responses API. */

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, Output, type ProviderMetadata, streamText } from "ai";
import { z } from "zod";
import { testWithWorker } from "./served.ts";

const TURNS = ["Hi! My name is Ada.", "What is 3 + 4?", "What is my name?"];

function requestOptions(baseURL: string, prompt: string, previousResponseId: string | null = null) {
  const model = createOpenAI({ baseURL, apiKey: "none" }).responses("default");
  const openai = previousResponseId === null ? {} : { previousResponseId };
  return { model, prompt, temperature: 0, maxRetries: 0, providerOptions: { openai } };
}

function idOf(metadata: ProviderMetadata | undefined): string {
  const id = metadata?.openai?.responseId;
  assert.ok(typeof id === "string" && id.startsWith("resp_"), String(id));
  return id;
}

interface Turn {
  text: string;
  input: number;
  cached: number;
  written: number;
}

async function generateTurns(baseURL: string): Promise<Turn[]> {
  const turns: Turn[] = [];
  let previous: string | null = null;
  for (const prompt of TURNS) {
    const reply: Awaited<ReturnType<typeof generateText>> = await generateText(
      requestOptions(baseURL, prompt, previous),
    );
    assert.deepEqual(reply.warnings, []);
    assert.equal(reply.finishReason, "stop");
    previous = idOf(reply.finalStep.providerMetadata);
    const { usage } = reply;
    turns.push({
      text: reply.text,
      input: usage.inputTokens!,
      cached: usage.inputTokenDetails.cacheReadTokens!,
      written: usage.outputTokens!,
    });
  }
  return turns;
}

async function streamTurns(baseURL: string): Promise<Turn[]> {
  const turns: Turn[] = [];
  let previous: string | null = null;
  for (const prompt of TURNS) {
    const stream: ReturnType<typeof streamText> = streamText(
      requestOptions(baseURL, prompt, previous),
    );
    const text = (await Array.fromAsync(stream.textStream)).join("");
    assert.equal(await stream.finishReason, "stop");
    previous = idOf((await stream.finalStep).providerMetadata);
    const usage = await stream.usage;
    turns.push({
      text,
      input: usage.inputTokens!,
      cached: usage.inputTokenDetails.cacheReadTokens!,
      written: usage.outputTokens!,
    });
  }
  return turns;
}

testWithWorker(
  "ai, responses: previousResponseId resumes, with and without streaming",
  async (baseURL) => {
    const turns = await generateTurns(baseURL);
    assert.match(turns[2].text, /Ada/);
    assert.equal(turns[0].cached, 0);
    for (const [i, { cached }] of turns.entries()) {
      if (i === 0) continue;
      const before = turns[i - 1];
      // All tokens except the last generated one. The next turn processes it.
      assert.ok(cached >= before.input + before.written - 1, `turn ${i}: ${cached} were cached`);
    }
    assert.deepEqual(await streamTurns(baseURL), turns);
  },
);

testWithWorker("ai, responses: structured output fits its schema", async (baseURL) => {
  const schema = z.object({ name: z.string().min(1).max(12), likes: z.enum(["tea", "cake"]) });
  const { output } = await generateText({
    ...requestOptions(baseURL, "I am Ada, and I like tea."),
    output: Output.object({ schema }),
  });
  assert.deepEqual(schema.parse(output), output);
});

testWithWorker("ai, responses: an unknown response is an error", async (baseURL) => {
  await assert.rejects(
    generateText(requestOptions(baseURL, "Hi!", `resp_${"0".repeat(48)}`)),
    (error) =>
      APICallError.isInstance(error) && error.statusCode === 400 &&
      /previous_response_not_found/.test(error.responseBody ?? ""),
  );
});

testWithWorker("ai, responses: a truncated reply has the finish reason length", async (baseURL) => {
  const cut = await generateText({
    ...requestOptions(baseURL, "Tell me a story."),
    maxOutputTokens: 16,
  });
  assert.equal(cut.finishReason, "length");
  assert.equal(cut.usage.outputTokens, 16);
});
