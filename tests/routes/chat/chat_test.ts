/** `POST /v1/chat/completions`, in memory. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import { ids } from "../../session/fixtures.ts";
import { dataOf, errorOf, HI, post, testApp } from "../fixtures.ts";

const REPLY = ids(" Hello wörld.\n\n");

Deno.test("a chat completion has OpenAI's format", async () => {
  const { app } = testApp({ script: REPLY, clock: () => 1_800_000_000_500 });
  const response = await post(app, HI);
  assert.equal(response.status, 200);
  const body = await response.json();
  assert.match(body.id, /^chatcmpl-[0-9a-f]{48}$/);
  assert.match(body.state_id, /^state_[0-9a-f]{48}$/);
  assert.equal(response.headers.get("x-state-id"), body.state_id);
  assert.match(response.headers.get("x-request-id")!, /^req_/);
  const prompt = ids("User: hi\n\nAssistant:").length;
  assert.deepEqual(body, {
    id: body.id,
    created: 1_800_000_000,
    model: "toy",
    system_fingerprint: "fp_70f",
    object: "chat.completion",
    choices: [{
      index: 0,
      message: { role: "assistant", content: "Hello wörld.", refusal: null },
      logprobs: null,
      finish_reason: "stop",
      state_id: body.state_id,
    }],
    usage: {
      prompt_tokens: prompt,
      completion_tokens: REPLY.length,
      total_tokens: prompt + REPLY.length,
      prompt_tokens_details: { cached_tokens: 0 },
    },
    state_id: body.state_id,
  });
});

Deno.test("state_id resumes a state and continues a truncated reply", async () => {
  const { app, runner } = testApp({ script: ids(" abcdef\n\n g\n\n") });
  const one = await (await post(app, { ...HI, max_tokens: 4 })).json();
  assert.equal(one.choices[0].message.content, "abc");
  assert.equal(one.choices[0].finish_reason, "length");
  const two = await (await post(app, { messages: [], state_id: one.state_id })).json();
  assert.equal(two.choices[0].message.content, "def");
  assert.equal(two.choices[0].finish_reason, "stop");
  const three = await (await post(app, { ...HI, state_id: two.state_id })).json();
  assert.equal(three.choices[0].message.content, "g");
  assert.equal(
    three.usage.prompt_tokens_details.cached_tokens + runner.works[2].tokens.length,
    three.usage.prompt_tokens,
  );
  assert.ok(runner.works[2].state);
});

Deno.test("each choice has its own state, whose id is known from the start", async () => {
  for (const stream of [false, true]) {
    const { app } = testApp();
    const request = { ...HI, n: 3, seed: 1, max_tokens: 9, stream };
    const response = await post(app, request);
    const named = response.headers.get("x-state-id")!.split(", ");
    assert.equal(new Set(named).size, 3);
    const choices = stream
      ? (await dataOf(response)).slice(0, -1)
        .flatMap((line) => JSON.parse(line).choices)
        .filter(({ finish_reason }) => finish_reason !== null)
        .sort((a, b) => a.index - b.index)
      : (await response.json()).choices;
    assert.deepEqual(choices.map(({ state_id }: { state_id: string }) => state_id), named);
    for (const [i, state_id] of named.entries()) {
      const own = { ...HI, seed: 1 + i, max_tokens: 9 };
      const alone = await (await post(app, own)).json();
      const on = { messages: [{ role: "user", content: "and?" }], seed: 3 };
      const [text, wanted] = await Promise.all([state_id, alone.state_id].map(async (id) => {
        const { choices, usage } = await (await post(app, { ...on, state_id: id })).json();
        return [choices[0].message.content, usage];
      }));
      assert.deepEqual(text, wanted);
    }
  }
});

Deno.test("all request fields reach the runner", async () => {
  const { app, runner } = testApp({ script: REPLY });
  const response = await post(app, {
    model: "default",
    messages: [
      { role: "developer", content: "Be brief.", name: "x" },
      { role: "user", content: [{ type: "text", text: "a" }] },
      { role: "assistant", content: null, tool_calls: [] },
      { role: "user", content: "b" },
    ],
    max_tokens: 3,
    max_completion_tokens: 9,
    temperature: 0.5,
    top_p: 0.9,
    top_k: 40,
    presence_penalty: 0.1,
    frequency_penalty: 0.2,
    penalty_decay: 0.996,
    min_p: 0.05,
    repetition_penalty: 1.1,
    logit_bias: { "10": -100 },
    seed: -1,
    stop: "z",
    n: 1,
    logprobs: false,
    tools: [],
    tool_choice: "none",
    response_format: { type: "text" },
    stream: false,
    stream_options: null,
    user: "someone",
    reasoning_effort: "low",
    unheard_of: { a: 1 },
  });
  assert.equal(response.status, 200, await response.text());
  const [{ tokens, maxTokens, sampling }] = runner.works;
  assert.deepEqual(
    tokens,
    ids("System: Be brief.\n\nUser: a\n\nAssistant:\n\nUser: b\n\nAssistant:"),
  );
  assert.equal(maxTokens, 9);
  assert.deepEqual(sampling, {
    temperature: 0.5,
    topP: 0.9,
    topK: 40,
    presencePenalty: 0.1,
    frequencyPenalty: 0.2,
    penaltyDecay: 0.996,
    minP: 0.05,
    repetitionPenalty: 1.1,
    logitBias: new Map([[10, -100]]),
    seed: 2n ** 64n - 1n,
  });
});

/** One entry more than the limit. */
const BIASES = Object.fromEntries(Array.from({ length: 4097 }, (_, id) => [id, 1]));

Deno.test("invalid values are rejected with the field's name", async () => {
  const { app } = testApp();
  for (
    const [change, param, message] of [
      [{ messages: "hi" }, "messages", /expected array/],
      [{ messages: [{ role: "user", content: 5 }] }, "messages[0].content", /string or a list/],
      [{ messages: [{ role: "user" }] }, "messages[0].content", /string or a list/],
      [{ messages: [{ role: "tool", content: "" }] }, "messages[0].role", /expected system, dev/],
      [{ messages: [5] }, "messages[0]", /expected object/],
      [
        { messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] },
        "messages[0].content[0].type",
        /only parts of type text/,
      ],
      [{ messages: [] }, "messages", /at least one message/],
      [{ model: 5 }, "model", /expected string/],
      [{ temperature: 2.1 }, "temperature", /<=2/],
      [{ temperature: "1" }, "temperature", /expected number/],
      [{ top_p: -0.1 }, "top_p", />=0/],
      [{ max_tokens: 0 }, "max_tokens", />=1/],
      [{ max_tokens: 1.5 }, "max_tokens", /int/],
      [{ frequency_penalty: 3 }, "frequency_penalty", /<=2/],
      [{ stream: "yes" }, "stream", /expected boolean/],
      [{ max_tokens: -2 }, "max_tokens", />=1, or -1/],
      [{ stop: Array(257).fill("a") }, "stop", /at most 256/],
      [{ stop: "a".repeat(2049) }, "stop", /bytes in total and the limit is 2048/],
      [{ seed: 0.5 }, "seed", /int/],
      [{ seed: 2 ** 64 + 4096 }, "seed", /<=18446744073709552000/],
      [{ top_k: -2 }, "top_k", />=-1/],
      [{ repetition_penalty: 0.05 }, "repetition_penalty", />=0.1, or 0/],
      [{ logit_bias: [[1, 2]] }, "logit_bias", /an object with token ids as keys/],
      [{ logit_bias: BIASES }, "logit_bias", /at most 4096 entries, got 4097/],
      [{ logit_bias: { "1": 200 } }, "logit_bias.1", /<=100/],
      [{ state_id: 7 }, "state_id", /expected string/],
    ] as const
  ) {
    const error = await errorOf(post(app, { ...HI, ...change }), 400, "invalid_value");
    assert.equal(error.param, param, error.message);
    assert.equal(error.type, "invalid_request_error");
    assert.match(error.message, message);
    assert.ok(error.message.startsWith(param), error.message);
  }
});

Deno.test("unsupported fields are rejected", async () => {
  const { app } = testApp();
  const tool = { type: "function", function: { name: "f" } };
  for (
    const change of [
      { tools: [tool] },
      { tool_choice: "required" },
      { functions: [{}] },
      { modalities: ["text", "audio"] },
    ]
  ) {
    const error = await errorOf(post(app, { ...HI, ...change }), 400, "unsupported_value");
    assert.equal(error.param, Object.keys(change)[0]);
  }
});

Deno.test("bodies that are not JSON, not UTF-8, or too large", async () => {
  const { app } = testApp({ maxBodyBytes: 100 });
  for (const body of ["", "{", "not json", '{"a":1}x']) {
    await errorOf(post(app, body), 400, "invalid_value");
  }
  for (const body of ["[]", "null", "5", '"text"']) {
    const error = await errorOf(post(app, body), 400, "invalid_value");
    assert.match(error.message, /request body: expected a JSON object/);
  }
  const latin = Uint8Array.from([...new TextEncoder().encode('{"model":"'), 0xe9, 0x22, 0x7d]);
  const coded = await errorOf(post(app, "", { body: latin }), 400, "invalid_value");
  assert.match(coded.message, /not UTF-8/);
  const long = JSON.stringify({ ...HI, user: "x".repeat(200) });
  const large = await errorOf(post(app, long), 413, "payload_too_large");
  assert.match(large.message, /more than 100 bytes, the limit is 100; .* state_id/);
  const stream = new Response(long).body!;
  const streamed = new Request("http://localhost/v1/chat/completions", {
    method: "POST",
    body: stream,
  });
  await errorOf(app.request(streamed), 413, "payload_too_large");
});

Deno.test("unknown models and states are rejected", async () => {
  const { app, store } = testApp();
  const model = await errorOf(post(app, { ...HI, model: "gpt-4o" }), 404, "model_not_found");
  assert.equal(model.param, "model");
  assert.match(model.message, /"gpt-4o".*"toy"/);
  for (const state_id of [store.newId(), "nonsense"]) {
    const state = await errorOf(post(app, { ...HI, state_id }), 400, "state_not_found");
    assert.equal(state.param, "state_id");
  }
});

Deno.test("a state of another model is rejected with x-should-retry: false", async () => {
  const one = testApp({ script: REPLY });
  const { state_id } = await (await post(one.app, HI)).json();
  const model = { ...one.sessions.model, fingerprint: "sha256:other" };
  const two = testApp({ backend: one.backend, model });
  const response = await post(two.app, { ...HI, state_id });
  assert.equal(response.headers.get("x-should-retry"), "false");
  await errorOf(response, 409, "model_mismatch");
});

Deno.test("an overloaded worker sends retry-after", async () => {
  const { app, runner } = testApp();
  runner.submit = () => {
    throw new InferenceError("overloaded", "Too many turns are waiting");
  };
  for (const stream of [false, true]) {
    const response = await post(app, { ...HI, stream });
    assert.equal(response.headers.get("retry-after"), "1");
    assert.equal((await errorOf(response, 503, "overloaded")).type, "server_error");
  }
});

Deno.test("an internal error returns 500 without details, and is logged", async () => {
  const { app, runner, logged } = testApp();
  const bug = new TypeError("secret is undefined");
  runner.submit = () => {
    throw bug;
  };
  const error = await errorOf(post(app, HI), 500, "internal_error");
  assert.doesNotMatch(error.message, /secret/);
  assert.deepEqual(logged, [bug]);
});
