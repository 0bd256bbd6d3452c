/** Vercel's AI SDK with its provider for OpenAI-compatible servers. */

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
import { abortedState, testWithWorker } from "./served.ts";

const PERSON = z.object({
  name: z.string().min(1).max(12),
  age: z.number().int().min(0).max(120),
  likes: z.enum(["tea", "cake"]),
});

/** A reply so long that its client can abort it. */
const LONG = "[a-z ]{3000}";

const HI = "Hi! My name is Ada.";
const WHO = "What is my name?";
const STORY = "Tell me a story.";

// generateObject is deprecated but still in use; do not warn about it.
globalThis.AI_SDK_LOG_WARNINGS = false;

function modelOf(baseURL: string, { id = "default", fetch = globalThis.fetch } = {}) {
  const options = { name: "rwkv", includeUsage: true, supportsStructuredOutputs: true };
  return createOpenAICompatible({ ...options, baseURL, fetch })(id);
}

function requestOptions(baseURL: string) {
  return { model: modelOf(baseURL), temperature: 0, maxRetries: 0 };
}

testWithWorker("ai: text, usage and finish reasons", async (baseURL) => {
  const { text, finishReason, usage, response, warnings } = await generateText({
    ...requestOptions(baseURL),
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
  const cut = await generateText({ ...requestOptions(baseURL), prompt: STORY, maxOutputTokens: 3 });
  assert.equal(cut.finishReason, "length");
  assert.equal(cut.usage.outputTokens, 3);
});

testWithWorker("ai: a streamed reply equals the unstreamed one", async (baseURL) => {
  const unstreamed = await generateText({ ...requestOptions(baseURL), prompt: STORY });
  const stream = streamText({ ...requestOptions(baseURL), prompt: STORY });
  const pieces = await Array.fromAsync(stream.textStream);
  assert.ok(pieces.length > 2, `${pieces.length} pieces`);
  assert.equal(pieces.join(""), unstreamed.text);
  assert.equal(await stream.finishReason, "stop");
  const { inputTokens, outputTokens } = await stream.usage;
  assert.deepEqual([inputTokens, outputTokens], [
    unstreamed.usage.inputTokens,
    unstreamed.usage.outputTokens,
  ]);
});

testWithWorker(
  "ai: a repeated history is not reprocessed, and a state can be resumed",
  async (baseURL) => {
    const messages: ModelMessage[] = [{ role: "user", content: HI }];
    const first = await generateText({ ...requestOptions(baseURL), messages });
    messages.push({ role: "assistant", content: first.text }, { role: "user", content: WHO });
    const again = await generateText({ ...requestOptions(baseURL), messages });
    assert.match(again.text, /Ada/);
    assert.ok(again.usage.inputTokenDetails.cacheReadTokens! >= first.usage.inputTokens!);

    const state_id = first.response.headers!["x-state-id"];
    const resumed = await generateText({
      ...requestOptions(baseURL),
      prompt: WHO,
      providerOptions: { rwkv: { state_id } },
    });
    assert.equal(resumed.text, again.text);
    assert.deepEqual(resumed.usage, again.usage);
  },
);

testWithWorker(
  "ai: structured output fits its schema, with and without streaming",
  async (baseURL) => {
    const prompt = "I am Ada, I am 36 years old, and I like tea.";
    const { output } = await generateText({
      ...requestOptions(baseURL),
      prompt,
      output: Output.object({ schema: PERSON }),
    });
    assert.deepEqual(PERSON.parse(output), output);
    const { object } = await generateObject({ ...requestOptions(baseURL), prompt, schema: PERSON });
    assert.deepEqual(object, output);
    const stream = streamText({
      ...requestOptions(baseURL),
      prompt,
      output: Output.object({ schema: PERSON }),
    });
    const partial = await Array.fromAsync(stream.partialOutputStream);
    assert.ok(partial.length > 2, `${partial.length} steps`);
    assert.deepEqual(await stream.output, output);
    const choice = await generateText({
      ...requestOptions(baseURL),
      prompt,
      output: Output.choice({ options: ["tea", "cake"] }),
    });
    assert.ok(["tea", "cake"].includes(choice.output));
  },
);

testWithWorker(
  "ai: an aborted stream cancels its turn and leaves the state open",
  async (baseURL) => {
    let stateId = "";
    const recordingFetch: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      stateId = response.headers.get("x-state-id") ?? "";
      return response;
    };
    const abort = new AbortController();
    let received = "";
    let aborted = false;
    const { fullStream } = streamText({
      ...requestOptions(baseURL),
      model: modelOf(baseURL, { fetch: recordingFetch }),
      prompt: STORY,
      maxOutputTokens: 3000,
      providerOptions: { rwkv: { guided_regex: LONG } },
      abortSignal: abort.signal,
    });
    for await (const part of fullStream) {
      if (part.type === "abort") aborted = true;
      if (part.type !== "text-delta") continue;
      received += part.text;
      abort.abort();
    }
    assert.ok(aborted);
    const { open, transcript } = await abortedState(baseURL, stateId);
    const written = transcript.at(-1)!.content;
    assert.ok(open);
    assert.ok(
      written.startsWith(received) && written.length < 3000,
      `${written.length} characters`,
    );
  },
);

testWithWorker(
  "ai: errors are reported, and retried only where a retry may help",
  async (baseURL) => {
    await assert.rejects(
      generateText({
        ...requestOptions(baseURL),
        model: modelOf(baseURL, { id: "gpt" }),
        prompt: HI,
      }),
      (error) =>
        APICallError.isInstance(error) && error.statusCode === 404 && !error.isRetryable &&
        /gpt/.test(error.message),
    );
    const state_id = `state_${"0".repeat(48)}`;
    await assert.rejects(
      generateText({
        ...requestOptions(baseURL),
        prompt: HI,
        providerOptions: { rwkv: { state_id } },
      }),
      (error) => APICallError.isInstance(error) && /state_not_found/.test(error.responseBody ?? ""),
    );
    const weather = {
      description: "The weather",
      inputSchema: z.object({ city: z.string() }),
    };
    await assert.rejects(
      generateText({ ...requestOptions(baseURL), prompt: HI, tools: { weather } }),
      (error) => APICallError.isInstance(error) && /tools/.test(error.message),
    );
  },
);
