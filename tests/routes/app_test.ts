/** Models, states, health, the page, and common behaviour of all responses. */

import assert from "node:assert/strict";
import { createApp } from "../../routes/app.ts";
import type { WorkerStatus } from "../../routes/worker.ts";
import { InferenceError } from "../../src/core/errors.ts";
import { harness, ids } from "../session/fixtures.ts";
import { DETAILS, errorOf, HI, post, testApp } from "./fixtures.ts";
import type { SessionsByTenant } from "../../src/session/session_api.ts";

Deno.test("the model is retrieved by its id and as default", async () => {
  const { app } = testApp();
  const model = await (await app.request("/v1/models/toy")).json();
  const list = await (await app.request("/v1/models")).json();
  assert.deepEqual(list, { object: "list", data: [model] });
  for (const id of ["toy", "default"]) {
    assert.deepEqual(await (await app.request(`/v1/models/${id}`)).json(), model);
  }
  await errorOf(app.request("/v1/models/other/one"), 404, "model_not_found");
});

Deno.test("a state is retrieved, deleted, and then not found", async () => {
  const { app } = testApp({ script: ids(" Hello", 0) });
  const { state_id } = await (await post(app, HI)).json();
  const state = await (await app.request(`/v1/states/${state_id}`)).json();
  assert.deepEqual(state, {
    id: state_id,
    object: "state",
    model: "toy",
    model_fingerprint: "sha256:70f",
    quant: "int8",
    created: state.created,
    expires_at: state.created + 7 * 24 * 3600,
    bytes: state.bytes,
    open: false,
    tokens: ids("User: hi\n\nAssistant: Hello").length,
    pending_tokens: 1,
    message_count: 2,
    transcript: [{ role: "user", content: "hi" }, { role: "assistant", content: "Hello" }],
    has_more: false,
  });
  const deleted = await app.request(`/v1/states/${state_id}`, { method: "DELETE" });
  assert.deepEqual(await deleted.json(), { id: state_id, object: "state", deleted: true });
  for (const method of ["GET", "DELETE"]) {
    await errorOf(app.request(`/v1/states/${state_id}`, { method }), 404, "state_not_found");
  }
  await errorOf(app.request("/v1/states/..%2F..%2Fetc"), 404, "state_not_found");
});

Deno.test("a transcript is paginated", async () => {
  const reply = ids(" b", 0);
  const { app } = testApp({ script: [...reply, ...reply, ...reply] });
  let state_id: string | undefined;
  for (const content of ["one", "two", "three"]) {
    const messages = [{ role: "user", content }];
    ({ state_id } = await (await post(app, { messages, state_id })).json());
  }
  const page = async (query: string) => {
    const answer = await (await app.request(`/v1/states/${state_id}${query}`)).json();
    const said = answer.transcript.map(({ content }: { content: string }) => content);
    assert.equal(answer.message_count, 6);
    return [said.join(), answer.has_more];
  };
  assert.deepEqual(await page(""), ["one,b,two,b,three,b", false]);
  assert.deepEqual(await page("?limit=2"), ["one,b", true]);
  assert.deepEqual(await page("?limit=3&after=2"), ["two,b,three", true]);
  assert.deepEqual(await page("?limit=2&after=4"), ["three,b", false]);
  assert.deepEqual(await page("?after=5"), ["b", false]);
  assert.deepEqual(await page("?after=6"), ["", false]);
  for (const query of ["limit=0", "limit=1001", "after=-1", "after=x", "limit=1.5"]) {
    const rejected = app.request(`/v1/states/${state_id}?${query}`);
    const { param } = await errorOf(rejected, 400, "invalid_value");
    assert.equal(param, query.split("=")[0]);
  }
});

Deno.test("an unknown route returns 404, an unknown method 405", async () => {
  const { app } = testApp();
  await errorOf(app.request("/v2/chat"), 404, "not_found");
  await errorOf(app.request("/v1/chat/completions/x", { method: "POST" }), 404, "not_found");
  for (
    const [path, method, allow] of [
      ["/v1/chat/completions", "GET", "POST"],
      ["/v1/models", "POST", "GET"],
      ["/v1/models/toy", "DELETE", "GET"],
      [`/v1/states/x`, "PUT", "GET, DELETE"],
      ["/health", "POST", "GET"],
      ["/ready", "PATCH", "GET"],
      ["/ping", "DELETE", "GET"],
      ["/", "POST", "GET"],
    ]
  ) {
    const response = await app.request(path, { method });
    assert.equal(response.headers.get("allow"), allow);
    await errorOf(response, 405, "method_not_allowed");
  }
  assert.equal((await app.request("/health", { method: "HEAD" })).status, 200);
});

Deno.test("a client's x-request-id is returned", async () => {
  const { app } = testApp();
  const headers = { "x-request-id": "mine-1" };
  const response = await app.request("/health", { headers });
  assert.equal(response.headers.get("x-request-id"), "mine-1");
});

interface StatusCase {
  worker: WorkerStatus;
  resolve: (sessions: SessionsByTenant) => void;
  reject: (error: unknown) => void;
}

function startingWorker(): StatusCase {
  const { promise, resolve, reject } = Promise.withResolvers<SessionsByTenant>();
  promise.catch(() => {});
  let state: WorkerStatus["state"] = "starting";
  promise.then(() => state = "ready", () => state = "failed");
  const worker = {
    get state() {
      return state;
    },
    reason: null,
    ready: promise,
    details: {},
    store: null,
  };
  return { worker, resolve, reject };
}

Deno.test("while the worker starts, probes report it and requests wait", async () => {
  const { worker, resolve } = startingWorker();
  const app = createApp({ worker, log: () => {} });
  const status = async (path: string) => (await app.request(path)).status;
  const health = await (await app.request("/health")).json();
  assert.equal(health.status, "starting");
  assert.deepEqual([health.model, health.store], [null, null]);
  assert.equal(await status("/ready"), 503);
  assert.equal(await status("/ping"), 204);
  const waiting = post(app, HI);
  const { sessions } = harness({ script: ids(" Hello", 0) });
  resolve({ forTenant: () => sessions });
  assert.equal((await waiting).status, 200);
  assert.equal(await status("/health"), 200);
  assert.equal(await status("/ready"), 200);
  assert.equal(await status("/ping"), 200);
});

Deno.test("a request waits for a starting worker until the ready timeout", async () => {
  const { worker } = startingWorker();
  const app = createApp({ worker, readyTimeoutMs: 20, log: () => {} });
  const response = await post(app, HI);
  assert.equal(response.headers.get("retry-after"), "5");
  const error = await errorOf(response, 503, "not_ready");
  assert.match(error.message, /still loading after 0.02 s/);
});

Deno.test("a failed worker reports the reason", async () => {
  const { worker, reject } = startingWorker();
  const app = createApp({ worker, log: () => {} });
  reject(new InferenceError("invalid_checkpoint", 'Cannot read "x.pth": not a zip file'));
  await worker.ready.catch(() => {});
  const error = await errorOf(post(app, HI), 503, "not_ready");
  assert.match(error.message, /not a zip file/);
  for (const path of ["/health", "/ready", "/ping"]) {
    assert.equal((await app.request(path)).status, 503);
  }
});

Deno.test("/health reports the device and a warning about a slow one", async () => {
  const { app } = testApp();
  const health = await (await app.request("/health")).json();
  const { deviceReason, ...details } = DETAILS;
  const memory = { ...DETAILS.memory, total: 975 };
  const since = "1970-01-01T00:00:00.042Z";
  const store = { kind: "memory", status: "reachable", problem: null, since };
  const expected = { ...details, device_reason: deviceReason, memory, store };
  assert.deepEqual(health, { ...expected, status: "ok", reason: null });
});

Deno.test("the page consists of its own files and one library, and loads nothing else", async () => {
  const { app } = testApp();
  const page = await app.request("/");
  assert.match(page.headers.get("content-type")!, /^text\/html/);
  const policy = page.headers.get("content-security-policy")!;
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  const html = await page.text();
  assert.doesNotMatch(html, /<style|style=|\son\w+=|<script>/);
  const folder = new URL("../../routes/page/", import.meta.url);
  const written = [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => /\.(js|css)$/.test(name));
  const reached = new Set<string>();
  const reach = async (path: string) => {
    if (reached.has(path)) return;
    reached.add(path);
    const file = await app.request(path);
    assert.equal(file.status, 200, path);
    assert.equal(file.headers.get("content-security-policy"), policy);
    const type = path.endsWith(".css") ? /^text\/css/ : /^text\/javascript/;
    assert.match(file.headers.get("content-type")!, type);
    const text = await file.text();
    assert.ok(text.length > 500, path);
    if (path === "/page/marked.js") return assert.match(text, /markedjs/);
    assert.doesNotMatch(text, /innerHTML|insertAdjacentHTML|document\.write|https?:\/\/|url\(/);
    for (const [, name] of text.matchAll(/^import .*?"\.\/([^"]+)";$/gms)) {
      await reach(`/page/${name}`);
    }
  };
  for (const [, link] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
    if (link.startsWith("/page/")) await reach(link);
    else assert.match(link, /^(data:|#|\/docs$)/);
  }
  assert.deepEqual([...reached].sort(), written.map((name) => `/page/${name}`).sort());
});
