/** `POST /v1/completions`, and log probabilities of text and chat completions. */

import assert from "node:assert/strict";
import { ids } from "../../session/fixtures.ts";
import { dataOf, errorOf, HI, post, type TestApp, testApp } from "../fixtures.ts";

function write({ app }: Pick<TestApp, "app">, body: object) {
  return app.request("/v1/completions", { method: "POST", body: JSON.stringify(body) });
}

Deno.test("a text is continued, resumed and streamed", async () => {
  const script = ids(" a\n\nb c", 0);
  const it = testApp({ script });
  const response = await write(it, { prompt: "Once" });
  const whole = await response.json();
  assert.match(whole.id, /^cmpl-[0-9a-f]{48}$/);
  assert.equal(whole.object, "text_completion");
  const [choice] = whole.choices;
  assert.deepEqual([choice.text, choice.finish_reason], [" a\n\nb c", "stop"]);
  assert.equal(response.headers.get("x-state-id"), whole.state_id);
  assert.equal(whole.usage.prompt_tokens, ids("Once").length);
  const cut = await (await write(it, { prompt: ["Once"], max_tokens: 3 })).json();
  assert.equal(cut.choices[0].finish_reason, "length");
  const rest = await (await write(it, { state_id: cut.state_id })).json();
  assert.equal(cut.choices[0].text + rest.choices[0].text, choice.text);
  const more = await (await write(it, { prompt: " then", state_id: cut.state_id })).json();
  assert.ok(more.usage.prompt_tokens_details.cached_tokens > 0);

  const options = { stream: true, stream_options: { include_usage: true }, n: 2, seed: 1 };
  const streamed = await write(it, { prompt: "Once", ...options });
  const data = await dataOf(streamed);
  assert.equal(data.pop(), "[DONE]");
  const chunks = data.map((line) => JSON.parse(line));
  const texts = ["", ""];
  for (const { choices } of chunks) for (const { index, text } of choices) texts[index] += text;
  assert.deepEqual(texts, [choice.text, choice.text]);
  assert.equal(chunks.at(-1).usage.completion_tokens, 2 * whole.usage.completion_tokens);
  const named = streamed.headers.get("x-state-id")!.split(", ");
  const ends = chunks.flatMap(({ choices }) => choices).filter((c) => c.finish_reason !== null);
  assert.deepEqual(ends.map(({ state_id }) => state_id).sort(), named.toSorted());
});

Deno.test("unsupported fields of text completions are rejected", async () => {
  const it = testApp();
  for (
    const [field, value] of Object.entries({
      echo: true,
      suffix: "x",
      best_of: 2,
      guided_regex: "a",
    })
  ) {
    const error = await errorOf(
      write(it, { prompt: "a", [field]: value }),
      400,
      "unsupported_value",
    );
    assert.equal(error.param, field);
  }
  for (const prompt of [5, ["a", "b"], [1, 2], ""]) {
    const error = await errorOf(write(it, { prompt }), 400, "invalid_value");
    assert.match(error.param!, /^prompt/);
  }
  await errorOf(write(it, {}), 400, "invalid_value");
  await errorOf(it.app.request("/v1/completions"), 405, "method_not_allowed");
});

Deno.test("log probabilities have OpenAI's two formats, equal with and without streaming", async () => {
  const script = [...ids(" a"), 1 + 0xc3, 1 + 0xb6, ...ids("b\n\n", 0)];
  const it = testApp({ script });
  const plain = await (await write(it, { prompt: "x", logprobs: 2 })).json();
  const { tokens, token_logprobs, top_logprobs, text_offset } = plain.choices[0].logprobs;
  assert.deepEqual(tokens, [" ", "a", "\ufffd", "\ufffd", "b", "\n\n"]);
  assert.deepEqual(token_logprobs, script.slice(0, 6).map((token) => -token));
  assert.deepEqual(top_logprobs[1], { a: -script[1], "\u0000": -999 });
  assert.deepEqual(text_offset, [0, 1, 2, 3, 4, 5]);

  const requestBody = { ...HI, logprobs: true, top_logprobs: 2 };
  const chat = await (await post(it.app, requestBody)).json();
  const { content, refusal } = chat.choices[0].logprobs;
  assert.equal(refusal, null);
  const bytes = Uint8Array.from(content.flatMap(({ bytes }: { bytes: number[] }) => bytes));
  assert.equal(new TextDecoder().decode(bytes).trimStart(), chat.choices[0].message.content);
  assert.deepEqual(content[1].top_logprobs[0], { token: "a", logprob: -script[1], bytes: [97] });
  const data = await dataOf(await post(it.app, { ...requestBody, stream: true }));
  const streamed = data.slice(0, -1).flatMap((line) => {
    return JSON.parse(line).choices[0].logprobs?.content ?? [];
  });
  assert.deepEqual(streamed, content);
  const none = await (await post(it.app, { ...HI, logprobs: false })).json();
  assert.equal(none.choices[0].logprobs, null);
  const error = await errorOf(post(it.app, { ...HI, top_logprobs: 3 }), 400, "invalid_value");
  assert.equal(error.param, "top_logprobs");
});
