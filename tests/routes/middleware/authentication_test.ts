/** API keys: protected paths, error responses, and the token of `/metrics`. */

import assert from "node:assert/strict";
import OpenAI from "openai";
import { errorOf, HI, post, testApp } from "../fixtures.ts";
import { askAs, tenantApp } from "../tenant_app.ts";

const PUBLIC_PATHS = ["/", "/health", "/ready", "/ping", "/docs", "/openapi.json", "/page/main.js"];

Deno.test("a missing and an invalid key get the same error in OpenAI's format", async () => {
  const it = await tenantApp(["ada"]);
  const ask = (tenant: string | null) => askAs(it, tenant, ["/v1/chat/completions", { body: HI }]);
  const refused = await ask(null);
  assert.equal(refused.headers.get("www-authenticate"), "Bearer");
  assert.equal(refused.headers.get("x-request-id")?.startsWith("req_"), true);
  const error = await errorOf(refused, 401, "invalid_api_key");
  assert.equal(error.type, "invalid_request_error");
  assert.equal(error.param, null);
  assert.deepEqual(await errorOf(ask("eve"), 401, "invalid_api_key"), error);
  const answer = await ask("ada");
  assert.equal(answer.status, 200);
  await answer.body?.cancel();
});

Deno.test("OpenAI's client throws AuthenticationError without a key, and works with one", async () => {
  const { app } = await tenantApp(["ada"]);
  const clientOf = (apiKey: string) =>
    new OpenAI({
      apiKey,
      baseURL: "http://worker/v1",
      maxRetries: 0,
      fetch: async (url, init) => await app.request(`${url}`, init),
    });
  await assert.rejects(clientOf("wrong").models.list(), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, "invalid_api_key");
    return true;
  });
  assert.equal((await clientOf("ada-key").models.list()).data.length, 1);
});

Deno.test("a request without a key is rejected before its body is read and before the worker is ready", async () => {
  const never = new Promise<never>(() => {});
  const worker = {
    state: "starting",
    reason: null,
    ready: never,
    details: {},
    store: null,
  } as const;
  const it = await tenantApp(["ada"], { worker });
  const body = new ReadableStream({
    pull: () => assert.fail("the body is read"),
  }, { highWaterMark: 0 });
  const answer = await it.app.request("/v1/chat/completions", { method: "POST", body });
  await errorOf(answer, 401, "invalid_api_key");
  for (const path of ["/v1/models", "/v1/nothing", "/v1/", "/v1"]) {
    assert.equal((await it.app.request(path)).status, 401, path);
  }
});

Deno.test("pages, probes and the document require no key", async () => {
  const it = await tenantApp(["ada"]);
  for (const path of PUBLIC_PATHS) {
    const answer = await it.app.request(path);
    await answer.body?.cancel();
    assert.equal(answer.status, 200, path);
  }
});

Deno.test("/metrics requires its token if API keys or a token exist", async () => {
  const status = async (app: { request: typeof fetch }, authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization };
    const answer = await app.request("/metrics", { headers });
    await answer.body?.cancel();
    return answer.status;
  };
  const statuses = async (app: unknown) => {
    const of = app as { request: typeof fetch };
    return [await status(of), await status(of, "Bearer ada-key"), await status(of, "Bearer token")];
  };
  const metricsToken = "token";
  assert.deepEqual(await statuses((await tenantApp(["ada"], { metricsToken })).app), [
    401,
    401,
    200,
  ]);
  assert.deepEqual(await statuses((await tenantApp(["ada"])).app), [401, 401, 401]);
  assert.deepEqual(await statuses((await tenantApp([], { metricsToken })).app), [401, 401, 200]);
  assert.deepEqual(await statuses((await tenantApp([])).app), [200, 200, 200]);
  const refused = await (await tenantApp(["ada"])).app.request("/metrics");
  assert.equal(refused.headers.get("www-authenticate"), "Bearer");
  await errorOf(refused, 401, "invalid_api_key");
});

Deno.test("the document declares the authentication of each operation", async () => {
  const { app } = testApp();
  const document = await (await app.request("/openapi.json")).json();
  const { apiKey, metricsToken } = document.components.securitySchemes;
  assert.deepEqual([apiKey.type, apiKey.scheme], ["http", "bearer"]);
  assert.deepEqual([metricsToken.type, metricsToken.scheme], ["http", "bearer"]);
  for (
    const [path, item] of Object.entries<Record<string, { security: object[] }>>(document.paths)
  ) {
    for (const { security } of Object.values(item)) {
      const wanted = path.startsWith("/v1/")
        ? [{ apiKey: [] }, {}]
        : path === "/metrics"
        ? [{ metricsToken: [] }, {}]
        : [];
      assert.deepEqual(security, wanted, path);
    }
  }
});

Deno.test("an app without authentication ignores keys", async () => {
  const { app } = testApp();
  const headers = { authorization: "Bearer anything" };
  const answer = await post(app, HI, { headers });
  assert.equal(answer.status, 200);
  await answer.body?.cancel();
});
