/** Limits of tokens per minute and per prompt. */

import assert from "node:assert/strict";
import { ids, tokenizer } from "../../session/fixtures.ts";
import { errorOf, HI } from "../fixtures.ts";
import {
  CHAT,
  chat,
  chatAnswer,
  costOf,
  limitedApp,
  LONG,
  rateHeaders,
  rejections,
} from "./limited_app.ts";
import { askAs } from "../tenant_app.ts";

Deno.test("tokens are charged by usage, except cached prompt tokens", async () => {
  const it = await limitedApp({ tokensPerMinute: 10_000 }, {
    model: { script: ids(" Hello\n\n") },
  });
  let left = 10_000;
  const system = { role: "system", content: "x".repeat(60) };
  let state_id: string | undefined;
  const bodies = [
    {},
    { state_id: () => state_id },
    { n: 3 },
    { messages: [system, { role: "user", content: "hi" }] },
    { messages: [system, { role: "user", content: "ho" }] },
    { max_tokens: 1 },
  ];
  for (const body of bodies) {
    const resumed = "state_id" in body ? { state_id } : {};
    const answer = await chatAnswer(chat(it, "ada", { ...body, ...resumed }));
    state_id = answer.state_id;
    left -= costOf(answer);
    const shown = Number(rateHeaders(answer, "tokens")[1]);
    assert.equal(shown, left, JSON.stringify(body));
  }
  const stream = { stream: true, stream_options: { include_usage: true } };
  const streamed = await chat(it, "ada", stream);
  // The prompt is charged when the stream starts, the reply as it is generated.
  const prompt = [...tokenizer.encode("User: hi\n\n"), ...tokenizer.encode("Assistant:")].length;
  const chunks = (await streamed.text()).trim().split("\n\n").slice(0, -1);
  const { usage } = JSON.parse(chunks.at(-1)!.slice("data: ".length));
  assert.ok(Number(rateHeaders(streamed, "tokens")[1]) <= left - prompt);
  left -= usage.total_tokens;
  const next = await chatAnswer(chat(it, "ada"));
  assert.equal(Number(rateHeaders(next, "tokens")[1]), left - costOf(next));
});

Deno.test("a prompt above the remaining tokens is rejected before it is processed", async () => {
  const it = await limitedApp({ tokensPerMinute: 60 }, { metricsToken: "token" });
  const messages = [{ role: "user", content: LONG }];
  const first = await chatAnswer(chat(it, "ada", { messages, max_tokens: 1 }));
  const { length } = it.runner.works;
  await it.clock.pass(3_000);
  const refused = await chat(it, "ada", { messages, max_tokens: 1 });
  const { message, type } = await errorOf(refused.clone(), 429, "rate_limit_exceeded");
  assert.equal(type, "tokens");
  const retryAfter = Number(refused.headers.get("retry-after"));
  const left = 60 - costOf(first);
  assert.match(
    message,
    new RegExp(
      `^Rate limit exceeded: 60 tokens per minute for this key's tenant, ${left} left, and the ` +
        `prompt has \\d+; retry in ${retryAfter} s$`,
    ),
  );
  assert.deepEqual(rateHeaders(refused, "tokens").slice(0, 2), ["60", String(left)]);
  assert.equal(it.runner.works.length, length);
  await it.clock.pass(1000 * retryAfter);
  await chatAnswer(chat(it, "ada", { messages, max_tokens: 1 }));
  assert.equal(await rejections(it, "tokens"), 1);
});

Deno.test("a running turn continues above the limit, and is charged for all tokens", async () => {
  const it = await limitedApp({ tokensPerMinute: 30 }, { model: { script: Array(200).fill(98) } });
  const answer = await chatAnswer(chat(it, "ada", { max_tokens: 100 }));
  assert.equal(answer.usage.completion_tokens, 100);
  assert.equal(rateHeaders(answer, "tokens")[1], "0");
  await errorOf(chat(it, "ada"), 429, "rate_limit_exceeded");
  await it.clock.pass(61_000);
  await chatAnswer(chat(it, "ada", { max_tokens: 1 }));
});

Deno.test("a cancelled or failed turn is charged only for processed tokens", async () => {
  const gate: { before: (sampled: number) => Promise<void> | void } = { before: () => {} };
  const model = { script: Array(500).fill(98), before: (sampled: number) => gate.before(sampled) };
  const it = await limitedApp({ tokensPerMinute: 1_000 }, { model });
  const left = async () => {
    gate.before = () => {};
    const answer = await chatAnswer(chat(it, "ada", { max_tokens: 1 }));
    return Number(rateHeaders(answer, "tokens")[1]) + costOf(answer);
  };
  const prompt = costOf(await chatAnswer(chat(it, "ada", { max_tokens: 1 }))) - 1;
  const before = await left();
  const spent = async () => {
    const now = await left();
    return spent.last - now;
  };
  spent.last = before - prompt - 1;
  // Failed after five tokens.
  gate.before = (sampled) => {
    if (sampled === 5) throw new TypeError("secret");
  };
  await errorOf(chat(it, "ada", { max_tokens: 100 }), 500, "internal_error");
  assert.equal(await spent(), prompt + 5);
  spent.last -= 2 * prompt + 6;
  // Cancelled after seven.
  const controller = new AbortController();
  gate.before = (sampled) => {
    if (sampled === 7) controller.abort();
  };
  const authorization = "Bearer ada-key";
  const init = { method: "POST", headers: { authorization }, signal: controller.signal };
  const body = JSON.stringify({ ...HI, max_tokens: 100 });
  await (await it.app.request(CHAT, { ...init, body })).text();
  assert.equal(await spent(), prompt + 7);
  spent.last -= 2 * prompt + 8;
  // Cancelled before the prompt was processed.
  const early = new AbortController();
  gate.before = () => early.abort();
  await (await it.app.request(CHAT, { ...init, signal: early.signal, body })).text();
  assert.equal(await spent(), 0);
});

Deno.test("a prompt above the per-request limit is rejected immediately with its field", async () => {
  const it = await limitedApp({ promptTokens: 20 }, { second: { promptTokens: 2_000 } });
  const cases: [string, object, string][] = [
    [CHAT, { messages: [{ role: "user", content: LONG }] }, "messages"],
    [CHAT, { messages: [{ role: "system", content: LONG }, HI.messages[0]] }, "messages"],
    ["/v1/completions", { prompt: LONG }, "prompt"],
    ["/v1/responses", { input: LONG }, "input"],
  ];
  for (const [path, body, param] of cases) {
    const refused = askAs(it, "ada", [path, { body }]);
    const error = await errorOf(refused, 400, "context_length_exceeded");
    assert.equal(error.param, param);
    assert.equal(error.type, "invalid_request_error");
    assert.match(
      error.message,
      new RegExp(
        `^${param}: the prompt has (more than )?\\d+ tokens, the limit of a request is 20; send it `,
      ),
    );
  }
  assert.equal(it.runner.works.length, 0);
  for (const [path, body] of cases) {
    const answer = await askAs(it, "second", [path, { body: { ...body } }]);
    assert.equal(answer.status, 200);
    await answer.text();
  }
});

Deno.test("a prompt above the per-minute limit returns context_length_exceeded", async () => {
  const it = await limitedApp({ tokensPerMinute: 20 });
  const refused = chat(it, "ada", { messages: [{ role: "user", content: LONG }] });
  const { message } = await errorOf(refused, 400, "context_length_exceeded");
  assert.match(message, /the limit of a request is 20/);
  assert.equal(it.runner.works.length, 0);
});
