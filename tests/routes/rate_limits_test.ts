/** Requests and tokens by the minute, as clients see them. */

import assert from "node:assert/strict";
import OpenAI from "openai";
import { durationText } from "../../routes/limits.ts";
import type { Entry } from "../../src/store/backend.ts";
import type { KeyLimits } from "../../src/store/key_limits.ts";
import { MemoryBackend } from "../../src/store/memory.ts";
import { VirtualClock } from "../access/rate_fixtures.ts";
import { ids, tokenizer } from "../session/fixtures.ts";
import { errorOf, HI } from "./fixtures.ts";
import { askAs, type TenantApp, tenantApp, type TenantAppOptions } from "./tenant_app.ts";

const CHAT = "/v1/chat/completions";
const LONG = "a long text that has more than ten tokens";

interface LimitedApp extends TenantApp {
  clock: VirtualClock;
}

/** An app for ada, bob, and ada's second key, which has bounds of its own if told. */
async function limitedApp(
  defaults: KeyLimits,
  { second, ...options }: TenantAppOptions & { second?: KeyLimits } = {},
): Promise<LimitedApp> {
  const clock = new VirtualClock();
  const { now, later } = clock;
  const bounds = { defaults, now, later };
  const keys = [{ name: "second", tenant: "ada", ...(second ? { limits: second } : {}) }];
  return { ...await tenantApp(["ada", "bob"], { keys, bounds, ...options }), clock };
}

function chat(it: TenantApp, key: string, body: object = {}, headers = {}): Promise<Response> {
  return askAs(it, key, [CHAT, { body: { ...HI, ...body }, headers }]);
}

interface Answered {
  state_id: string;
  usage: {
    prompt_tokens: number;
    completion_tokens: number;
    prompt_tokens_details: { cached_tokens: number };
  };
}

async function answered(response: Promise<Response>): Promise<Answered & { headers: Headers }> {
  const { status, headers, ...answer } = await response.then(async (response) => ({
    status: response.status,
    headers: response.headers,
    ...await response.json(),
  }));
  assert.equal(status, 200, JSON.stringify(answer));
  return { ...answer, headers };
}

function costOf({ usage }: Answered): number {
  const { prompt_tokens, completion_tokens, prompt_tokens_details: { cached_tokens } } = usage;
  return prompt_tokens - cached_tokens + completion_tokens;
}

/** What is told of a kind: limit, remaining, reset. */
function told({ headers }: { headers: Headers }, kind: "requests" | "tokens"): (string | null)[] {
  return ["limit", "remaining", "reset"].map((what) => headers.get(`x-ratelimit-${what}-${kind}`));
}

async function refusals(it: TenantApp, limit: string): Promise<number> {
  const text = await (await it.app.request("/metrics", {
    headers: { authorization: "Bearer token" },
  })).text();
  return Number(text.match(new RegExp(`limit_refused_total\\{limit="${limit}"\\} (\\d+)`))![1]);
}

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
    "Cannot take this request: a minute may have 2 requests of this key's tenant, and no more may " +
      `come now; wait ${retryAfter} s`,
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

Deno.test("every way to let the model work counts, and nothing else does", async () => {
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
  const others: [string, object][] = [
    ["/v1/models", { method: "GET" }],
    [`/v1/states/${state_id}`, { method: "GET" }],
    ["/v1/conversations", { body: {} }],
    ["/v1/tokenize", { body: { prompt: "hi" } }],
    [CHAT, { body: { messages: 5 } }],
    [CHAT, { body: { ...HI, model: "gpt" } }],
  ];
  for (const [path, request] of others) {
    const answer = await askAs(it, "ada", [path, request]);
    await answer.text();
    assert.deepEqual(told(answer, "requests"), [null, null, null], path);
  }
  // One that was taken and came to nothing has counted.
  const gone = { state_id: `state_${"0".repeat(48)}` };
  await errorOf(chat(it, "ada", gone), 404, "state_not_found");
  assert.equal(told(await answered(chat(it, "ada")), "requests")[1], "91");
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

Deno.test("tokens are charged as usage tells of them, but for those that were not read again", async () => {
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
    const answer = await answered(chat(it, "ada", { ...body, ...resumed }));
    state_id = answer.state_id;
    left -= costOf(answer);
    const shown = Number(told(answer, "tokens")[1]);
    assert.equal(shown, left, JSON.stringify(body));
  }
  const stream = { stream: true, stream_options: { include_usage: true } };
  const streamed = await chat(it, "ada", stream);
  // The prompt is charged when the stream begins, and the reply as it is written.
  const prompt = [...tokenizer.encode("User: hi\n\n"), ...tokenizer.encode("Assistant:")].length;
  const chunks = (await streamed.text()).trim().split("\n\n").slice(0, -1);
  const { usage } = JSON.parse(chunks.at(-1)!.slice("data: ".length));
  assert.ok(Number(told(streamed, "tokens")[1]) <= left - prompt);
  left -= usage.total_tokens;
  const next = await answered(chat(it, "ada"));
  assert.equal(Number(told(next, "tokens")[1]), left - costOf(next));
});

Deno.test("a prompt that the minute has no room for is refused before anything is read", async () => {
  const it = await limitedApp({ tokensPerMinute: 60 }, { metricsToken: "token" });
  const messages = [{ role: "user", content: LONG }];
  const first = await answered(chat(it, "ada", { messages, max_tokens: 1 }));
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
      `^Cannot read \\d+ tokens now: a minute may have 60 tokens of this key's tenant, and ` +
        `${left} are left; wait ${retryAfter} s$`,
    ),
  );
  assert.deepEqual(told(refused, "tokens").slice(0, 2), ["60", String(left)]);
  assert.equal(it.runner.works.length, length);
  await it.clock.pass(1000 * retryAfter);
  await answered(chat(it, "ada", { messages, max_tokens: 1 }));
  assert.equal(await refusals(it, "tokens"), 1);
});

Deno.test("a turn that runs goes on when the tokens are used up, and is charged for it all", async () => {
  const it = await limitedApp({ tokensPerMinute: 30 }, { model: { script: Array(200).fill(98) } });
  const answer = await answered(chat(it, "ada", { max_tokens: 100 }));
  assert.equal(answer.usage.completion_tokens, 100);
  assert.equal(told(answer, "tokens")[1], "0");
  await errorOf(chat(it, "ada"), 429, "rate_limit_exceeded");
  await it.clock.pass(61_000);
  await answered(chat(it, "ada", { max_tokens: 1 }));
});

Deno.test("a turn that is left or fails is charged for what was done, and no more", async () => {
  const gate: { before: (sampled: number) => Promise<void> | void } = { before: () => {} };
  const model = { script: Array(500).fill(98), before: (sampled: number) => gate.before(sampled) };
  const it = await limitedApp({ tokensPerMinute: 1_000 }, { model });
  const left = async () => {
    gate.before = () => {};
    const answer = await answered(chat(it, "ada", { max_tokens: 1 }));
    return Number(told(answer, "tokens")[1]) + costOf(answer);
  };
  const prompt = costOf(await answered(chat(it, "ada", { max_tokens: 1 }))) - 1;
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
  // Left after seven.
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
  // Left before anything was read.
  const early = new AbortController();
  gate.before = () => early.abort();
  await (await it.app.request(CHAT, { ...init, signal: early.signal, body })).text();
  assert.equal(await spent(), 0);
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

Deno.test("a prompt with more tokens than a request may have is told at once, with its field", async () => {
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
        `^${param}: the prompt has \\d+ tokens, one request may have at most 20; send it `,
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

Deno.test("a prompt with more tokens than any minute may have is told as one that is too long", async () => {
  const it = await limitedApp({ tokensPerMinute: 20 });
  const refused = chat(it, "ada", { messages: [{ role: "user", content: LONG }] });
  const { message } = await errorOf(refused, 400, "context_length_exceeded");
  assert.match(message, /one request may have at most 20/);
  assert.equal(it.runner.works.length, 0);
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
