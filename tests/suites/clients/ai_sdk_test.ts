/** Vercel's AI SDK with its provider for what is compatible with OpenAI. */

import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  generateObject,
  generateText,
  type ModelMessage,
  Output,
  streamText,
} from "ai";
import { z } from "zod";
import { served, stateLeft } from "./served.ts";

const PERSON = z.object({
  name: z.string().min(1).max(12),
  age: z.number().int().min(0).max(120),
  likes: z.enum(["tea", "cake"]),
});

/** Longer than a reply can be written while its client makes up its mind. */
const LONG = "[a-z ]{3000}";

const HI = "Hi! My name is Ada.";
const WHO = "What is my name?";
const STORY = "Tell me a story.";

// That generateObject is on its way out is known; people use it.
globalThis.AI_SDK_LOG_WARNINGS = false;

function modelOf(baseURL: string, { id = "default", fetch = globalThis.fetch } = {}) {
  const options = { name: "rwkv", includeUsage: true, supportsStructuredOutputs: true };
  return createOpenAICompatible({ ...options, baseURL, fetch })(id);
}

function asked(baseURL: string) {
  return { model: modelOf(baseURL), temperature: 0, maxRetries: 0 };
}

served("ai: text, usage, ends", async (baseURL) => {
  const { text, finishReason, usage, response, warnings } = await generateText({
    ...asked(baseURL),
    system: "Be brief.",
    prompt: HI,
    seed: 1,
    stopSequences: ["\n"],
  });
  assert.match(text, /Ada/);
  assert.equal(finishReason, "stop");
  assert.equal(response.modelId, "demo");
  assert.match(response.id, /^chatcmpl-/);
  assert.deepEqual(warnings, []);
  assert.ok(usage.inputTokens! > 0 && usage.outputTokens! > 0);
  assert.equal(usage.totalTokens, usage.inputTokens! + usage.outputTokens!);
  const cut = await generateText({ ...asked(baseURL), prompt: STORY, maxOutputTokens: 3 });
  assert.equal(cut.finishReason, "length");
  assert.equal(cut.usage.outputTokens, 3);
});

served("ai: a stream is the text that is answered at once", async (baseURL) => {
  const whole = await generateText({ ...asked(baseURL), prompt: STORY });
  const stream = streamText({ ...asked(baseURL), prompt: STORY });
  const pieces = await Array.fromAsync(stream.textStream);
  assert.ok(pieces.length > 2, `${pieces.length} pieces`);
  assert.equal(pieces.join(""), whole.text);
  assert.equal(await stream.finishReason, "stop");
  const { inputTokens, outputTokens } = await stream.usage;
  assert.deepEqual([inputTokens, outputTokens], [
    whole.usage.inputTokens,
    whole.usage.outputTokens,
  ]);
});

served(
  "ai: a history sent again is not read again, and a state is gone on from",
  async (baseURL) => {
    const messages: ModelMessage[] = [{ role: "user", content: HI }];
    const first = await generateText({ ...asked(baseURL), messages });
    messages.push({ role: "assistant", content: first.text }, { role: "user", content: WHO });
    const again = await generateText({ ...asked(baseURL), messages });
    assert.match(again.text, /Ada/);
    assert.ok(again.usage.inputTokenDetails.cacheReadTokens! >= first.usage.inputTokens!);

    const state_id = first.response.headers!["x-state-id"];
    const resumed = await generateText({
      ...asked(baseURL),
      prompt: WHO,
      providerOptions: { rwkv: { state_id } },
    });
    assert.equal(resumed.text, again.text);
    assert.deepEqual(resumed.usage, again.usage);
  },
);

served("ai: structured output fits its schema, at once and streamed", async (baseURL) => {
  const prompt = "I am Ada, I am 36 years old, and I like tea.";
  const { output } = await generateText({
    ...asked(baseURL),
    prompt,
    output: Output.object({ schema: PERSON }),
  });
  assert.deepEqual(PERSON.parse(output), output);
  const { object } = await generateObject({ ...asked(baseURL), prompt, schema: PERSON });
  assert.deepEqual(object, output);
  const stream = streamText({
    ...asked(baseURL),
    prompt,
    output: Output.object({ schema: PERSON }),
  });
  const partial = await Array.fromAsync(stream.partialOutputStream);
  assert.ok(partial.length > 2, `${partial.length} steps`);
  assert.deepEqual(await stream.output, output);
  const choice = await generateText({
    ...asked(baseURL),
    prompt,
    output: Output.choice({ options: ["tea", "cake"] }),
  });
  assert.ok(["tea", "cake"].includes(choice.output));
});

served(
  "ai: a stream that is aborted stops its turn, and leaves it open",
  async (baseURL) => {
    let stateId = "";
    const keeping: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      stateId = response.headers.get("x-state-id") ?? "";
      return response;
    };
    const leaving = new AbortController();
    let seen = "";
    let aborted = false;
    const { fullStream } = streamText({
      ...asked(baseURL),
      model: modelOf(baseURL, { fetch: keeping }),
      prompt: STORY,
      maxOutputTokens: 3000,
      providerOptions: { rwkv: { guided_regex: LONG } },
      abortSignal: leaving.signal,
    });
    for await (const part of fullStream) {
      if (part.type === "abort") aborted = true;
      if (part.type !== "text-delta") continue;
      seen += part.text;
      leaving.abort();
    }
    assert.ok(aborted);
    const { open, transcript } = await stateLeft(baseURL, stateId);
    const written = transcript.at(-1)!.content;
    assert.ok(open);
    assert.ok(written.startsWith(seen) && written.length < 3000, `${written.length} letters`);
  },
);

served("ai: errors are told, and tried again only where that may help", async (baseURL) => {
  await assert.rejects(
    generateText({ ...asked(baseURL), model: modelOf(baseURL, { id: "gpt" }), prompt: HI }),
    (error) =>
      APICallError.isInstance(error) && error.statusCode === 404 && !error.isRetryable &&
      /gpt/.test(error.message),
  );
  const state_id = `state_${"0".repeat(48)}`;
  await assert.rejects(
    generateText({ ...asked(baseURL), prompt: HI, providerOptions: { rwkv: { state_id } } }),
    (error) => APICallError.isInstance(error) && /state_not_found/.test(error.responseBody ?? ""),
  );
  const weather = {
    description: "The weather",
    inputSchema: z.object({ city: z.string() }),
  };
  await assert.rejects(
    generateText({ ...asked(baseURL), prompt: HI, tools: { weather } }),
    (error) => APICallError.isInstance(error) && /tools/.test(error.message),
  );
});
