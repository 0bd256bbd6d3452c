/** Values that clients of other servers send for a default, on all generation routes. */

import assert from "node:assert/strict";
import { testApp } from "../fixtures.ts";

const ROUTES = [
  ["/v1/chat/completions", { messages: [{ role: "user", content: "hi" }] }],
  ["/v1/completions", { prompt: "hi" }],
  ["/v1/responses", { input: "hi" }],
] as const;

type App = ReturnType<typeof testApp>;

async function ask({ app }: App, path: string, body: object): Promise<Response> {
  const response = await app.request(path, { method: "POST", body: JSON.stringify(body) });
  assert.equal(response.status, 200, `${path} ${JSON.stringify(body)} ${await peek(response)}`);
  return response;
}

async function peek(response: Response): Promise<string> {
  return await response.clone().text();
}

/** Returns the runner's requests of a plain request and of one with default values. */
async function worksOf(path: string, plain: object, more: object) {
  const it = testApp();
  await ask(it, path, { ...plain, seed: 1 });
  await ask(it, path, { ...plain, seed: 1, ...more });
  const [{ signal: _, ...one }, { signal: __, ...two }] = it.runner.works;
  return [one, two];
}

for (const [path, plain] of ROUTES) {
  Deno.test(`${path}: conventional default values have no effect`, async () => {
    const tokens = path === "/v1/responses" ? "max_output_tokens" : "max_tokens";
    for (
      const more of [
        { [tokens]: -1 },
        { [tokens]: null },
        { top_k: -1 },
        { stop: "" },
        { stop: [] },
        { stop: ["", ""] },
        { logit_bias: [] },
        { logit_bias: {} },
        { model: "" },
        { repetition_penalty: 0 },
        { repetition_penalty: null, temperature: null, top_p: null, min_p: null, stop: null },
        { n: null, user: "", stream_options: null, stream: null, logit_bias: null, model: null },
      ]
    ) {
      const [one, two] = await worksOf(path, plain, more);
      const neutral = "repetition_penalty" in more || "top_k" in more;
      if (neutral) {
        const { topK, repetitionPenalty } = two.sampling;
        assert.deepEqual([topK, repetitionPenalty ?? 1], [0, 1], JSON.stringify(more));
      } else assert.deepEqual(two, one, JSON.stringify(more));
    }
  });

  Deno.test(`${path}: empty stop strings are ignored, and many stop strings accepted`, async () => {
    const it = testApp();
    const names = Array.from({ length: 40 }, (_, i) => `\nName ${i}:`);
    await ask(it, path, { ...plain, stop: ["", "User:"] });
    await ask(it, path, { ...plain, stop: names });
    const texts = it.runner.works.map(({ stops }) =>
      stops!.strings.map((bytes) => new TextDecoder().decode(bytes)).filter((text) =>
        text !== "\n\n"
      )
    );
    assert.deepEqual(texts, [["User:"], names]);
  });

  Deno.test(`${path}: seeds have 64 bits`, async () => {
    const it = testApp();
    const seeds = ["9223372036854775807", "18446744073709551615", "-9223372036854775808", "-1"];
    for (const seed of [...seeds, ...seeds]) {
      const body = `${JSON.stringify(plain).slice(0, -1)},"seed":${seed}}`;
      const response = await it.app.request(path, { method: "POST", body });
      assert.equal(response.status, 200, await peek(response));
    }
    const got = it.runner.works.map(({ sampling }) => sampling.seed);
    assert.deepEqual(got.slice(4), got.slice(0, 4));
    assert.deepEqual(got.slice(2, 4), [2n ** 63n, 2n ** 64n - 1n]);
    for (const seed of got) assert.equal(BigInt.asUintN(64, seed), seed);
  });
}

Deno.test("chat: a limit of -1 is overridden by the other limit field", async () => {
  const [path, plain] = ROUTES[0];
  const it = testApp();
  await ask(it, path, { ...plain, max_completion_tokens: -1, max_tokens: 7 });
  await ask(it, path, { ...plain, max_completion_tokens: 5, max_tokens: -1 });
  assert.deepEqual(it.runner.works.map(({ maxTokens }) => maxTokens), [7, 5]);
});

Deno.test("chat: empty structured output fields have no effect", async () => {
  const [path, plain] = ROUTES[0];
  for (
    const form of [
      { grammar: "", json_schema: "", guided_choice: [], guided_json: null },
      { guided_grammar: "", structured_outputs: {}, response_format: null },
    ]
  ) {
    const it = testApp();
    await ask(it, path, { ...plain, ...form });
    assert.equal(it.runner.works[0].constraint, undefined);
  }
});

Deno.test("completions: logprobs may be false", async () => {
  const [path, plain] = ROUTES[1];
  const it = testApp();
  await ask(it, path, { ...plain, logprobs: false });
  assert.equal(it.runner.works[0].logprobs, undefined);
});
