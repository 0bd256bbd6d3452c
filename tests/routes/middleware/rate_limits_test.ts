/** Limits of requests per minute, and the rate limit headers. */

import assert from "node:assert/strict";
import OpenAI from "openai";
import { formatDuration } from "../../../routes/middleware/rate_limits.ts";
import type { Entry } from "../../../src/store/backends/backend.ts";
import type { KeyLimits } from "../../../src/store/keys/key_limits.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
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

Deno.test("requests above the limit get 429 in OpenAI's format, and succeed after retry-after", async () => {
  const it = await limitedApp({ requestsPerMinute: 2 }, { metricsToken: "token" });
  assert.deepEqual(rateHeaders(await chatAnswer(chat(it, "ada")), "requests"), ["2", "1", "1m1s"]);
  await it.clock.pass(10_000);
  assert.deepEqual(rateHeaders(await chatAnswer(chat(it, "ada")), "requests"), ["2", "0", "1m1s"]);
  const refused = await chat(it, "ada");
  const error = await errorOf(refused.clone(), 429, "rate_limit_exceeded");
  assert.equal(error.type, "requests");
  assert.equal(error.param, null);
  const retryAfter = Number(refused.headers.get("retry-after"));
  assert.equal(
    error.message,
    `Rate limit exceeded: 2 requests per minute for this key's tenant; retry in ${retryAfter} s`,
  );
  assert.deepEqual(rateHeaders(refused, "requests"), ["2", "0", "1m1s"]);
  assert.deepEqual(rateHeaders(refused, "tokens"), [null, null, null]);
  // Not earlier, except for the rounding to seconds.
  await it.clock.pass(1000 * (retryAfter - 1));
  assert.equal((await chat(it, "ada")).status, 429);
  await it.clock.pass(1000);
  const after = await chatAnswer(chat(it, "ada"));
  assert.deepEqual(rateHeaders(after, "requests").slice(0, 2), ["2", "0"]);
  assert.equal(await rejections(it, "requests"), 2);
  assert.equal(await rejections(it, "tokens"), 0);
});

Deno.test("OpenAI's client throws RateLimitError", async () => {
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

Deno.test("every request with a body counts, and generation routes send the headers", async () => {
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
    assert.deepEqual(rateHeaders(answer, "requests"), ["100", String(99 - i), "1m1s"], path);
    await answer.text();
  }
  const { state_id } = await chatAnswer(chat(it, "ada"));
  const others: [path: string, request: object, counts: boolean][] = [
    ["/v1/models", { method: "GET" }, false],
    [`/v1/states/${state_id}`, { method: "GET" }, false],
    ["/v1/conversations", { body: {} }, true],
    ["/v1/tokenize", { body: { prompt: "hi" } }, true],
    // Rejected requests count, because they were read.
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
    assert.deepEqual(rateHeaders(answer, "requests"), [null, null, null], path);
    if (counts) left--;
    left--;
    assert.equal(rateHeaders(await chatAnswer(chat(it, "ada")), "requests")[1], String(left), path);
  }
});

Deno.test("a request above the limit is rejected before its body is read", async () => {
  const it = await limitedApp({ requestsPerMinute: 1 });
  await chatAnswer(chat(it, "ada"));
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

/** Records the listed prefixes. */
class WatchedBackend extends MemoryBackend {
  readonly listed: string[] = [];

  override list(...args: Parameters<MemoryBackend["list"]>): AsyncIterable<Entry> {
    this.listed.push(args[0].slice(0, 2).join(" "));
    return super.list(...args);
  }
}

Deno.test("without limits, no header is sent and no usage is read or written", async () => {
  const used = async (defaults: KeyLimits) => {
    const backend = new WatchedBackend();
    const it = await limitedApp(defaults, { backend });
    const { headers } = await chatAnswer(chat(it, "ada"));
    await askAs(it, "ada", ["/v1/conversations", { body: {} }]);
    await it.clock.pass(5_000);
    const names = [...headers.keys()].filter((name) => name.includes("ratelimit"));
    return [names.length, backend.size, backend.listed.includes("~ rate")];
  };
  const [, rows] = await used({});
  assert.deepEqual(await used({}), [0, rows, false]);
  // Verifies that this test detects a list operation.
  assert.deepEqual(await used({ requestsPerMinute: 9 }), [3, rows as number + 1, true]);
  const backend = new WatchedBackend();
  await chatAnswer(chat(await limitedApp({}, { backend }), "ada"));
  assert.ok(!backend.listed.includes("ada state"));
});

Deno.test("keys of a tenant share its counts, each with its own limit; other tenants do not", async () => {
  const it = await limitedApp({ requestsPerMinute: 3 }, { second: { requestsPerMinute: 5 } });
  for (let i = 0; i < 3; i++) await chatAnswer(chat(it, "ada"));
  assert.equal((await chat(it, "ada")).status, 429);
  assert.deepEqual(rateHeaders(await chatAnswer(chat(it, "second")), "requests").slice(0, 2), [
    "5",
    "1",
  ]);
  assert.deepEqual(rateHeaders(await chatAnswer(chat(it, "second")), "requests").slice(0, 2), [
    "5",
    "0",
  ]);
  assert.equal((await chat(it, "second")).status, 429);
  assert.deepEqual(rateHeaders(await chatAnswer(chat(it, "bob")), "requests"), ["3", "2", "1m1s"]);
});

Deno.test("a request rejected by the token limit does not count as a request", async () => {
  const it = await limitedApp({ requestsPerMinute: 2, tokensPerMinute: 60 });
  const messages = [{ role: "user", content: LONG }];
  await chatAnswer(chat(it, "ada", { messages, max_tokens: 1 }));
  for (let i = 0; i < 5; i++) {
    const refused = await chat(it, "ada", { messages });
    const { type } = await errorOf(refused.clone(), 429, "rate_limit_exceeded");
    assert.equal(type, "tokens");
    assert.deepEqual(rateHeaders(refused, "requests").slice(0, 2), ["2", "1"]);
  }
});

Deno.test("a replayed response is not counted, and sends the current remaining values", async () => {
  const it = await limitedApp({ requestsPerMinute: 5, tokensPerMinute: 10_000 });
  const once = { "idempotency-key": "one" };
  const first = await chatAnswer(chat(it, "ada", {}, once));
  await chatAnswer(chat(it, "ada"));
  const again = await chat(it, "ada", {}, once);
  assert.equal(again.headers.get("idempotent-replayed"), "true");
  assert.equal((await again.json()).state_id, first.state_id);
  const next = await chatAnswer(chat(it, "ada"));
  assert.deepEqual(rateHeaders(again, "requests").slice(0, 2), ["5", "3"]);
  assert.deepEqual(rateHeaders(next, "requests").slice(0, 2), ["5", "2"]);
  assert.equal(
    Number(rateHeaders(next, "tokens")[1]),
    Number(rateHeaders(again, "tokens")[1]) - costOf(next),
  );
  // A rejection is not stored.
  const crowded = await limitedApp({ requestsPerMinute: 1 });
  await chatAnswer(chat(crowded, "ada"));
  assert.equal((await chat(crowded, "ada", {}, once)).status, 429);
  await crowded.clock.pass(61_000);
  assert.equal(
    (await chatAnswer(chat(crowded, "ada", {}, once))).headers.get("x-state-id") !== null,
    true,
  );
});

Deno.test("durations have OpenAI's format", () => {
  const written = [0, 250, 999.2, 1_000, 11_001, 60_000, 61_000, 360_000].map(formatDuration);
  assert.deepEqual(written, ["0ms", "250ms", "1s", "1s", "12s", "1m0s", "1m1s", "6m0s"]);
});

Deno.test("pages of allowed origins may read the rate limit headers", async () => {
  const origin = "https://chat.example.com";
  const it = await limitedApp({ requestsPerMinute: 5 }, { allowedOrigins: [origin] });
  const answer = await chat(it, "ada", {}, { origin });
  const exposed = answer.headers.get("access-control-expose-headers")!;
  for (const what of ["limit", "remaining", "reset"]) {
    for (const kind of ["requests", "tokens"]) {
      assert.ok(exposed.includes(`x-ratelimit-${what}-${kind}`), exposed);
    }
  }
  assert.ok(exposed.includes("retry-after"));
});
