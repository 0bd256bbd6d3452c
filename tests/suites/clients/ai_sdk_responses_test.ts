/** Vercel's AI SDK with OpenAI's own provider, which speaks the Responses API. */

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, Output, type ProviderMetadata, streamText } from "ai";
import { z } from "zod";
import { served } from "./served.ts";

const TURNS = ["Hi! My name is Ada.", "What is 3 + 4?", "What is my name?"];

function asked(baseURL: string, prompt: string, previousResponseId: string | null = null) {
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

async function whole(baseURL: string): Promise<Turn[]> {
  const turns: Turn[] = [];
  let previous: string | null = null;
  for (const prompt of TURNS) {
    const reply: Awaited<ReturnType<typeof generateText>> = await generateText(
      asked(baseURL, prompt, previous),
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

async function streamed(baseURL: string): Promise<Turn[]> {
  const turns: Turn[] = [];
  let previous: string | null = null;
  for (const prompt of TURNS) {
    const stream: ReturnType<typeof streamText> = streamText(asked(baseURL, prompt, previous));
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

served("ai, responses: previousResponseId goes on, at once and streamed", async (baseURL) => {
  const turns = await whole(baseURL);
  assert.match(turns[2].text, /Ada/);
  assert.equal(turns[0].cached, 0);
  for (const [i, { cached }] of turns.entries()) {
    if (i === 0) continue;
    const before = turns[i - 1];
    // All but what the last token written leaves to be read with the next message.
    assert.ok(cached >= before.input + before.written - 1, `turn ${i}: ${cached} were known`);
  }
  assert.deepEqual(await streamed(baseURL), turns);
});

served("ai, responses: structured output fits its schema", async (baseURL) => {
  const schema = z.object({ name: z.string().min(1).max(12), likes: z.enum(["tea", "cake"]) });
  const { output } = await generateText({
    ...asked(baseURL, "I am Ada, and I like tea."),
    output: Output.object({ schema }),
  });
  assert.deepEqual(schema.parse(output), output);
});

served("ai, responses: an unknown response is an error", async (baseURL) => {
  await assert.rejects(
    generateText(asked(baseURL, "Hi!", `resp_${"0".repeat(48)}`)),
    (error) =>
      APICallError.isInstance(error) && error.statusCode === 400 &&
      /previous_response_not_found/.test(error.responseBody ?? ""),
  );
});

served("ai, responses: a reply that is cut short says so", async (baseURL) => {
  const cut = await generateText({ ...asked(baseURL, "Tell me a story."), maxOutputTokens: 16 });
  assert.equal(cut.finishReason, "length");
  assert.equal(cut.usage.outputTokens, 16);
});
