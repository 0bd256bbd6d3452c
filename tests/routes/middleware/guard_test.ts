/** CORS, origins and host names. */

import assert from "node:assert/strict";
import { originsFlag } from "../../../src/server/origins.ts";
import { errorOf, HI, testApp } from "../fixtures.ts";

const PAGE = "https://chat.example.com";

/** Sends a chat request as a page of `origin`. */
function turn({ app }: ReturnType<typeof testApp>, origin?: string, url = "http://localhost:8000") {
  return app.request(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(origin ? { origin } : {}) },
    body: JSON.stringify(HI),
  });
}

Deno.test("pages of other origins are rejected; the worker's own page and other clients are not", async () => {
  const it = testApp();
  for (const origin of [undefined, "http://localhost:8000", "https://localhost:8000"]) {
    assert.equal((await turn(it, origin)).status, 200, String(origin));
  }
  for (const origin of [PAGE, "http://localhost:8001", "null", "nonsense"]) {
    const { message } = await errorOf(turn(it, origin), 403, "origin_not_allowed");
    assert.match(message, new RegExp(`"${origin}": allow it with --origins`));
  }
  // Safe requests are answered, but the page cannot read the response.
  const read = await it.app.request("/v1/models", { headers: { origin: PAGE } });
  assert.equal(read.status, 200);
  assert.equal(read.headers.get("access-control-allow-origin"), null);
});

Deno.test("an allowed origin may call and read the headers that clients need", async () => {
  const it = testApp({ allowedOrigins: [PAGE, "https://b.example"] });
  const preflight = await it.app.request("/v1/chat/completions", {
    method: "OPTIONS",
    headers: {
      origin: PAGE,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-origin"), PAGE);
  assert.match(preflight.headers.get("access-control-allow-methods")!, /POST/);
  assert.match(
    preflight.headers.get("access-control-allow-headers")!,
    /authorization.*x-stainless/,
  );
  const answered = await turn(it, PAGE);
  assert.equal(answered.status, 200);
  assert.equal(answered.headers.get("access-control-allow-origin"), PAGE);
  assert.match(answered.headers.get("access-control-expose-headers")!, /x-state-id/);
  assert.equal(answered.headers.get("access-control-allow-credentials"), null);
  await errorOf(turn(it, "https://c.example"), 403, "origin_not_allowed");
  assert.equal((await turn(testApp({ allowedOrigins: ["*"] }), "https://c.example")).status, 200);
});

Deno.test("origins of applications and extensions can be allowed", async () => {
  const apps = ["app://obsidian.md", "tauri://localhost", "moz-extension://*", "file://", "null"];
  const it = testApp({ allowedOrigins: originsFlag({ origins: apps.join(",") }) });
  for (const origin of [...apps.filter((app) => !app.endsWith("*")), "moz-extension://0f-1a"]) {
    const answered = await turn(it, origin);
    assert.equal(answered.status, 200, origin);
    assert.equal(answered.headers.get("access-control-allow-origin"), origin);
    const preflight = await it.app.request("/v1/chat/completions", {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    });
    assert.equal(preflight.headers.get("access-control-allow-origin"), origin);
  }
  for (const origin of ["app://other", "chrome-extension://a", "https://obsidian.md", "app://*x"]) {
    await errorOf(turn(it, origin), 403, "origin_not_allowed");
  }
  // The same host with another scheme is another origin.
  await errorOf(turn(testApp(), "tauri://localhost:8000"), 403, "origin_not_allowed");
});

Deno.test("the host of an application's origin is not a host name of the worker", async () => {
  const it = testApp({ allowedOrigins: ["app://obsidian.md"], localOnly: () => true });
  await errorOf(turn(it, undefined, "http://obsidian.md"), 403, "host_not_allowed");
  assert.equal((await turn(it, "app://obsidian.md")).status, 200);
});

Deno.test("a local-only worker accepts only loopback host names", async () => {
  let local = true;
  const it = testApp({ allowedOrigins: [PAGE], localOnly: () => local });
  for (const host of ["localhost:8000", "127.0.0.1", "127.8.8.8:1", "[::1]:8000", "a.localhost"]) {
    assert.equal((await turn(it, undefined, `http://${host}`)).status, 200, host);
  }
  // DNS rebinding: the attacker's page has the same origin as the worker.
  const rebound = turn(it, "http://evil.example:8000", "http://evil.example:8000");
  const { message } = await errorOf(rebound, 403, "host_not_allowed");
  assert.match(message, /"evil.example".*--origins/);
  for (const host of ["10.0.0.7", "localhost.evil.example", "127.0.0.1.evil.example"]) {
    await errorOf(turn(it, undefined, `http://${host}`), 403, "host_not_allowed");
  }
  assert.equal((await turn(it, PAGE, PAGE)).status, 200);
  local = false;
  assert.equal((await turn(it, undefined, "http://10.0.0.7")).status, 200);
});

Deno.test("responses have security headers, and HSTS behind TLS", async () => {
  const { app } = testApp();
  for (const path of ["/", "/docs", "/health", "/v1/models", "/nowhere", "/openapi.json"]) {
    const { headers } = await app.request(path);
    assert.match(
      headers.get("content-security-policy")!,
      /default-src 'none'.*frame-ancestors 'none'/,
    );
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("x-frame-options"), "DENY");
    assert.equal(headers.get("referrer-policy"), "no-referrer");
    assert.equal(headers.get("strict-transport-security"), null);
  }
  const behind = await app.request("/", { headers: { "x-forwarded-proto": "https" } });
  assert.equal(behind.headers.get("strict-transport-security"), "max-age=31536000");
  assert.ok(
    (await app.request("https://chat.example.com/")).headers.has("strict-transport-security"),
  );
});

Deno.test("--origins accepts only origins that a browser may send", () => {
  const origins = (list: string) => originsFlag({ origins: list });
  assert.deepEqual(origins("https://a.example, http://B.example:81,*"), [
    "https://a.example",
    "http://b.example:81",
    "*",
  ]);
  assert.deepEqual(origins("https://a.example:443/"), ["https://a.example"]);
  const apps =
    "app://obsidian.md,chrome-extension://abcdef,moz-extension://0f-1,tauri://localhost," +
    "capacitor://localhost,vscode-webview://abc,moz-extension://*,file://,null";
  assert.deepEqual(origins(apps), apps.split(","));
  assert.deepEqual(origins("App://Obsidian.md/, file:///"), ["app://obsidian.md", "file://"]);
  assert.deepEqual(originsFlag({}), []);
  assert.deepEqual(origins(""), []);
  const none = ["a.example", "https://a.example/chat", "ftp://a.example", "https://u@a.b"];
  const apart = [
    "app://",
    "app://a/b",
    "app://u@a",
    "https://*",
    "ws://a",
    "file:///home",
    "app:a",
  ];
  for (const wrong of [...none, ...apart]) {
    assert.throws(() => origins(wrong), {
      code: "usage",
      message: /an origin is a scheme and a host/,
    });
  }
});
