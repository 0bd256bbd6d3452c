/**
 * The app answers any request quickly, as documented (fixtures.ts checks every response), and never
 * with an internal error.
 */

import assert from "node:assert/strict";
import { QUICK } from "../support/quick.ts";
import { testApp } from "./fixtures.ts";
import {
  type Known,
  type MadeRequest,
  type Operation,
  operationsOf,
  prefixOf,
  RequestMaker,
} from "./random_requests.ts";

const SEEDS = QUICK ? [1] : [1, 2, 3, 4];
/** Requests per operation and seed. */
const REQUESTS = 40;
/** Generation routes get more requests. */
const GENERATION_PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/responses"];
/** Timeout of one request. */
const TIMEOUT_SECONDS = 5;

/** Routes that always fail here, and routes that never fail. */
const ALWAYS_REJECTED = [
  "POST /v1/responses/{id}/cancel",
  // Random requests never contain two matching ids.
  "GET /v1/conversations/{id}/items/{item_id}",
];
const NEVER_REJECTED = [
  "GET /health",
  "GET /ready",
  "GET /ping",
  "GET /metrics",
  "GET /openapi.json",
  "GET /v1/models",
];

Deno.test("any request gets a documented response, never an internal error", async () => {
  const seen = new Map<string, { fine: number; rejected: number; streamed: number }>();
  for (const seed of SEEDS) {
    const it = testApp();
    const document = await (await it.app.request("/openapi.json")).json();
    const known: Known = { ids: new Map(), files: [] };
    const maker = new RequestMaker(document, known, seed);
    const operations = operationsOf(document);
    const rounds = operations.flatMap((operation) => {
      const count = GENERATION_PATHS.includes(operation.path) ? REQUESTS * 4 : REQUESTS;
      return Array.from({ length: count }, (_, i) => ({ operation, at: i / count }));
    }).sort((a, b) => a.at - b.at);
    for (const { operation } of rounds) {
      const request = maker.request(operation);
      const response = await inTime(answer(it, request, known), request);
      const name = `${operation.method} ${operation.path}`;
      const counts = seen.get(name) ?? { fine: 0, rejected: 0, streamed: 0 };
      if (response.ok) counts.fine++;
      else counts.rejected++;
      if (response.streamed) counts.streamed++;
      seen.set(name, counts);
    }
    await it.sessions.settled();
    assert.deepEqual(it.logged, [], `of seed ${seed}`);
  }
  // Otherwise the requests would not test the successful paths.
  const share = SEEDS.length / 4;
  for (const [name, { fine, rejected, streamed }] of seen) {
    const counted = `${name}: ${fine} answered, ${rejected} rejected, ${streamed} streamed`;
    assert.ok(ALWAYS_REJECTED.includes(name) ? fine === 0 : fine >= 10 * share, counted);
    assert.ok(NEVER_REJECTED.includes(name) ? rejected === 0 : rejected >= 3 * share, counted);
    assert.ok(
      !GENERATION_PATHS.some((path) => name === `POST ${path}`) || streamed >= 20 * share,
      counted,
    );
  }
});

async function answer(
  { app }: ReturnType<typeof testApp>,
  { method, url, headers, body }: MadeRequest,
  known: Known,
): Promise<{ ok: boolean; streamed: boolean }> {
  const response = await app.request(url, { method, headers, body: body ?? null });
  const { status, ok } = response;
  assert.ok(status < 500, `${status}: ${ok ? "" : await response.clone().text()}`);
  assert.ok(response.headers.get("x-request-id"));
  const type = response.headers.get("content-type") ?? "";
  if (type === "application/octet-stream") {
    known.files.push(new Uint8Array(await response.arrayBuffer()));
    return { ok, streamed: false };
  }
  const text = await response.text();
  if (!ok) assertError(JSON.parse(text));
  const streamed = type.startsWith("text/event-stream");
  if (streamed) assertEvents(text);
  for (const [id] of text.matchAll(/\b(?:state|conv|resp|msg)_[0-9a-f]{48}\b/g)) {
    const ids = known.ids.get(prefixOf(id)) ?? [];
    if (!ids.includes(id)) ids.push(id);
    known.ids.set(prefixOf(id), ids.slice(-20));
  }
  return { ok, streamed };
}

function assertError(body: Record<string, unknown>): void {
  assert.deepEqual(Object.keys(body), ["error"]);
  const { message, type, param, code, ...more } = body.error as Record<string, unknown>;
  assert.deepEqual(more, {});
  for (const text of [message, type, code]) assert.ok(typeof text === "string" && text !== "");
  assert.ok(param === null || typeof param === "string", String(param));
}

function assertEvents(text: string): void {
  const events = text.split("\n\n");
  assert.equal(events.pop(), "");
  assert.ok(events.length > 1, text);
  for (const event of events) {
    const data = event.match(/^(?:event: [^\n]*\n)?data: ([^\n]*)$/)?.[1];
    assert.ok(data, event);
    if (data !== "[DONE]") assert.ok(!/internal_error/.test(data) && JSON.parse(data), data);
  }
}

/** Fails with the request if its response is late or undocumented. */
async function inTime<T>(answered: Promise<T>, request: MadeRequest): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no response in ${TIMEOUT_SECONDS} s`)),
      TIMEOUT_SECONDS * 1000,
    );
  });
  try {
    return await Promise.race([answered, late]);
  } catch (cause) {
    const { method, url, headers, body } = request;
    const sent = typeof body === "string" ? body : `${body?.length ?? 0} bytes`;
    const reason = cause instanceof Error ? cause.message : cause;
    throw new Error(`${method} ${url} ${JSON.stringify(headers)} ${sent}: ${reason}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

Deno.test("the same seed generates the same requests of every operation", async () => {
  const document = await (await testApp().app.request("/openapi.json")).json();
  const operations: Operation[] = operationsOf(document);
  assert.ok(operations.length > 20);
  const maker = () => new RequestMaker(document, { ids: new Map(), files: [] }, 5);
  const [one, two] = [maker(), maker()];
  for (const operation of operations) {
    assert.deepEqual(one.request(operation), two.request(operation));
  }
});
