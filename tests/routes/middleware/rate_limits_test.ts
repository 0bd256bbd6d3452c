/** Requests by the minute, and what the bounds tell clients. */

import assert from "node:assert/strict";
import OpenAI from "openai";
import { durationText } from "../../../routes/middleware/rate_limits.ts";
import type { Entry } from "../../../src/store/backends/backend.ts";
import type { KeyLimits } from "../../../src/store/keys/key_limits.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { errorOf, HI } from "../fixtures.ts";
import { answered, CHAT, chat, costOf, limitedApp, LONG, refusals, told } from "./limited_app.ts";
import { askAs } from "../tenant_app.ts";

Deno.test("requests beyond the bound get 429 in OpenAI's shape, and are taken when they were told", async () => {
  const it = await limitedApp({ requestsPerMinute: 2 }, { metricsToken: "token" });
  assert.deepEqual(told(await answered(chat(it, "ada")), "requests"), ["2", "1", "1m1s"]);
  await it.clock.pass(10_000);
  assert.deepEqual(told(await answered(chat(it, "ada")), "requests"), ["2", "0", "1m1s"]);
  const refused = await chat(it, "ada");
  const error = await errorOf(refused.clone(), 429, "rate_limit_exceeded");
  assert.equal(error.type, "requests");
  assert.equal(error.param, null);
  const retryAfter = Number(refused.headers.get("retry-after"));
  assert.equal(
    error.message,
    "Rate limit exceeded: 2 requests per minute for this key's tenant; " +
      `retry in ${retryAfter} s`,
  );
  assert.deepEqual(told(refused, "requests"), ["2", "0", "1m1s"]);
  assert.deepEqual(told(refused, "tokens"), [null, null, null]);
  // It is not sooner, but for what is less than a second.
  await it.clock.pass(1000 * (retryAfter - 1));
  assert.equal((await chat(it, "ada")).status, 429);
  await it.clock.pass(1000);
  const after = await answered(chat(it, "ada"));
  assert.deepEqual(told(after, "requests").slice(0, 2), ["2", "0"]);
  assert.equal(await refusals(it, "requests"), 2);
  assert.equal(await refusals(it, "tokens"), 0);
});

Deno.test("OpenAI's client takes a refusal for what it is", async () => {
  const it = await limitedApp({ requestsPerMinute: 1 });
  const client = new OpenAI({
    apiKey: "ada-key",
    baseURL: "http://worker/v1",
    maxRetries: 0,
    fetch: async (url, init) => await it.app.request(`${url}`, init),
  });
  const ask = () =>
    client.chat.completions.create({ model: "toy", messages: [{ role: "user", content: "hi" }] });
  await ask();
  await assert.rejects(ask(), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.deepEqual([error.code, error.type], ["rate_limit_exceeded", "requests"]);
    return true;
  });
});

Deno.test("every request that has a body counts, and tells so where the model works", async () => {
  const it = await limitedApp({ requestsPerMinute: 100 });
  const stream = { stream: true };
  const asked: [string, object][] = [
    [CHAT, HI],
    [CHAT, { ...HI, ...stream }],
    [CHAT, { ...HI, n: 3 }],
    ["/v1/completions", { prompt: "hi" }],
    ["/v1/responses", { input: "hi" }],
    ["/v1/responses", { input: "hi", ...stream }],
  ];
  for (const [i, [path, body]] of asked.entries()) {
    const answer = await askAs(it, "ada", [path, { body }]);
    assert.equal(answer.status, 200);
    assert.deepEqual(told(answer, "requests"), ["100", String(99 - i), "1m1s"], path);
    await answer.text();
  }
  const { state_id } = await answered(chat(it, "ada"));
  const others: [path: string, request: object, counts: boolean][] = [
    ["/v1/models", { method: "GET" }, false],
    [`/v1/states/${state_id}`, { method: "GET" }, false],
    ["/v1/conversations", { body: {} }, true],
    ["/v1/tokenize", { body: { prompt: "hi" } }, true],
    // Those that are refused have been read.
    ["/v1/states", { body: "no state" }, true],
    ["/v1/tokenize", { body: { prompt: 5 } }, true],
    [CHAT, { body: { messages: 5 } }, true],
    [CHAT, { body: { ...HI, model: "gpt" } }, true],
    [CHAT, { body: { ...HI, state_id: `state_${"0".repeat(48)}` } }, true],
  ];
  let left = 93;
  for (const [path, request, counts] of others) {
    const answer = await askAs(it, "ada", [path, request]);
    await answer.text();
    assert.deepEqual(told(answer, "requests"), [null, null, null], path);
    if (counts) left--;
    left--;
    assert.equal(told(await answered(chat(it, "ada")), "requests")[1], String(left), path);
  }
});

Deno.test("a request beyond the bound is refused before its body is read", async () => {
  const it = await limitedApp({ requestsPerMinute: 1 });
  await answered(chat(it, "ada"));
  for (const path of [CHAT, "/v1/tokenize", "/v1/states", "/v1/conversations"]) {
    let pulled = 0;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled++;
        controller.enqueue(new Uint8Array(65_536));
      },
    }, { highWaterMark: 0 });
    const headers = { authorization: "Bearer ada-key" };
    const refused = it.app.request(path, { method: "POST", body, headers });
    await errorOf(refused, 429, "rate_limit_exceeded");
    assert.equal(pulled, 0, path);
  }
});

/** Tells what it is asked to list. */
class WatchedBackend extends MemoryBackend {
  readonly listed: string[] = [];

  override list(...args: Parameters<MemoryBackend["list"]>): AsyncIterable<Entry> {
    this.listed.push(args[0].slice(0, 2).join(" "));
    return super.list(...args);
  }
}

Deno.test("without bounds nothing is told, counted, read or written", async () => {
  const used = async (defaults: KeyLimits) => {
    const backend = new WatchedBackend();
    const it = await limitedApp(defaults, { backend });
    const { headers } = await answered(chat(it, "ada"));
    await askAs(it, "ada", ["/v1/conversations", { body: {} }]);
    await it.clock.pass(5_000);
    const names = [...headers.keys()].filter((name) => name.includes("ratelimit"));
    return [names.length, backend.size, backend.listed.includes("~ rate")];
  };
  const [, rows] = await used({});
  assert.deepEqual(await used({}), [0, rows, false]);
  // So it would be seen.
  assert.deepEqual(await used({ requestsPerMinute: 9 }), [3, rows as number + 1, true]);
  const backend = new WatchedBackend();
  await answered(chat(await limitedApp({}, { backend }), "ada"));
  assert.ok(!backend.listed.includes("ada state"));
});

Deno.test("keys of a tenant share its counts, each within its own bound; other tenants do not", async () => {
  const it = await limitedApp({ requestsPerMinute: 3 }, { second: { requestsPerMinute: 5 } });
  for (let i = 0; i < 3; i++) await answered(chat(it, "ada"));
  assert.equal((await chat(it, "ada")).status, 429);
  assert.deepEqual(told(await answered(chat(it, "second")), "requests").slice(0, 2), ["5", "1"]);
  assert.deepEqual(told(await answered(chat(it, "second")), "requests").slice(0, 2), ["5", "0"]);
  assert.equal((await chat(it, "second")).status, 429);
  assert.deepEqual(told(await answered(chat(it, "bob")), "requests"), ["3", "2", "1m1s"]);
});

Deno.test("a refusal costs nothing, so that waiting for tokens does not use up requests", async () => {
  const it = await limitedApp({ requestsPerMinute: 2, tokensPerMinute: 60 });
  const messages = [{ role: "user", content: LONG }];
  await answered(chat(it, "ada", { messages, max_tokens: 1 }));
  for (let i = 0; i < 5; i++) {
    const refused = await chat(it, "ada", { messages });
    const { type } = await errorOf(refused.clone(), 429, "rate_limit_exceeded");
    assert.equal(type, "tokens");
    assert.deepEqual(told(refused, "requests").slice(0, 2), ["2", "1"]);
  }
});

Deno.test("an answer that is given again is not counted again, and tells what is left now", async () => {
  const it = await limitedApp({ requestsPerMinute: 5, tokensPerMinute: 10_000 });
  const once = { "idempotency-key": "one" };
  const first = await answered(chat(it, "ada", {}, once));
  await answered(chat(it, "ada"));
  const again = await chat(it, "ada", {}, once);
  assert.equal(again.headers.get("idempotent-replayed"), "true");
  assert.equal((await again.json()).state_id, first.state_id);
  const next = await answered(chat(it, "ada"));
  assert.deepEqual(told(again, "requests").slice(0, 2), ["5", "3"]);
  assert.deepEqual(told(next, "requests").slice(0, 2), ["5", "2"]);
  assert.equal(Number(told(next, "tokens")[1]), Number(told(again, "tokens")[1]) - costOf(next));
  // A refusal is not kept.
  const crowded = await limitedApp({ requestsPerMinute: 1 });
  await answered(chat(crowded, "ada"));
  assert.equal((await chat(crowded, "ada", {}, once)).status, 429);
  await crowded.clock.pass(61_000);
  assert.equal(
    (await answered(chat(crowded, "ada", {}, once))).headers.get("x-state-id") !== null,
    true,
  );
});

Deno.test("times are written as OpenAI writes them", () => {
  const written = [0, 250, 999.2, 1_000, 11_001, 60_000, 61_000, 360_000].map(durationText);
  assert.deepEqual(written, ["0ms", "250ms", "1s", "1s", "12s", "1m0s", "1m1s", "6m0s"]);
});

Deno.test("pages of other origins may read what is left", async () => {
  const origin = "https://chat.example.com";
  const it = await limitedApp({ requestsPerMinute: 5 }, { origins: [origin] });
  const answer = await chat(it, "ada", {}, { origin });
  const exposed = answer.headers.get("access-control-expose-headers")!;
  for (const what of ["limit", "remaining", "reset"]) {
    for (const kind of ["requests", "tokens"]) {
      assert.ok(exposed.includes(`x-ratelimit-${what}-${kind}`), exposed);
    }
  }
  assert.ok(exposed.includes("retry-after"));
});
