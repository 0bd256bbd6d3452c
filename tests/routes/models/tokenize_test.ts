/** `/v1/tokenize`, `/v1/detokenize`, and the details of `/v1/models`. */

import assert from "node:assert/strict";
import { encodeState } from "../../../src/store/states/state_codec.ts";
import { ids, MODEL, VOCABULARY } from "../../session/fixtures.ts";
import { errorOf, HI, post, testApp } from "../fixtures.ts";

function send(app: ReturnType<typeof testApp>["app"], path: string, body: unknown) {
  return app.request(`/v1/${path}`, { method: "POST", body: JSON.stringify(body) });
}

Deno.test("a prompt is tokenized and detokenized", async () => {
  const { app } = testApp();
  const prompt = "User: € wörld\n\n";
  const response = await send(app, "tokenize", { prompt, model: "default" });
  const tokenized = await response.json();
  assert.equal(response.status, 200);
  assert.deepEqual(tokenized, {
    tokens: ids(prompt),
    count: ids(prompt).length,
    max_model_len: null,
  });
  const back = await send(app, "detokenize", { tokens: [...tokenized.tokens, 0] });
  assert.deepEqual(await back.json(), { prompt });
  assert.equal((await (await send(app, "tokenize", { prompt: "" })).json()).count, 0);
});

Deno.test("messages are tokenized like in a chat request", async () => {
  const { app, runner } = testApp({ script: [0] });
  const messages = [{ role: "system", content: " be\n\nbrief " }, ...HI.messages];
  const { tokens, count } = await (await send(app, "tokenize", { messages })).json();
  const { usage } = await (await post(app, { messages })).json();
  assert.deepEqual(tokens, runner.works[0].tokens);
  assert.equal(count, usage.prompt_tokens);
});

Deno.test("too many token ids are rejected", async () => {
  const { app } = testApp();
  for (
    const [body, param] of [
      [{ prompt: "x".repeat(262_145) }, "prompt"],
      [{ messages: [{ role: "user", content: "x".repeat(262_145) }] }, "messages"],
    ] as const
  ) {
    const { message } = await errorOf(send(app, "tokenize", body), 400, "invalid_value");
    assert.equal(message, `${param}: the input has more than 65536 tokens; send it in parts`);
  }
});

Deno.test("an incomplete character becomes U+FFFD", async () => {
  const { app } = testApp();
  const tokens = [1 + 0xe2, 1 + 0x82, ...ids("a")];
  const { prompt } = await (await send(app, "detokenize", { tokens })).json();
  assert.equal(prompt, "\ufffda");
});

Deno.test("invalid ids and bodies are rejected with the field's name", async () => {
  const { app } = testApp();
  for (const id of [VOCABULARY - 1, VOCABULARY, 2 ** 40]) {
    const { param, message } = await errorOf(
      send(app, "detokenize", { tokens: [1, id] }),
      400,
      "invalid_value",
    );
    assert.equal(param, "tokens[1]");
    assert.ok(message.includes(String(id)), message);
  }
  const bad = [{ tokens: [-1] }, { tokens: [1.5] }, { tokens: "1" }, {}];
  for (const body of bad) await errorOf(send(app, "detokenize", body), 400, "invalid_value");
  const both = { prompt: "a", ...HI };
  for (const body of [{}, both, { messages: [] }, { prompt: 1 }]) {
    await errorOf(send(app, "tokenize", body), 400, "invalid_value");
  }
  await errorOf(send(app, "tokenize", { prompt: "a", model: "gpt" }), 404, "model_not_found");
  await errorOf(send(app, "detokenize", { tokens: [1], model: "gpt" }), 404, "model_not_found");
});

Deno.test("/v1/models reports the dimensions and state sizes", async () => {
  const shape = { layers: 2, width: 8, headSize: 4 };
  for (const codec of ["f32", "f16", "q8"] as const) {
    const { app } = testApp({ model: { ...MODEL, shape, codec } });
    const model = await (await app.request("/v1/models/default")).json();
    assert.deepEqual((await (await app.request("/v1/models")).json()).data, [model]);
    const numbers = new Float32Array(2 * 8 * 6);
    assert.deepEqual(model, {
      id: "toy",
      object: "model",
      created: 42,
      owned_by: "rwkv",
      fingerprint: "sha256:70f",
      quantization: "int8",
      sizes: { layers: 2, width: 8, head_size: 4, vocabulary: VOCABULARY },
      state_bytes: {
        codec,
        stored: encodeState(numbers, { codec, shape }).length,
        float32: numbers.byteLength,
      },
    });
  }
});
