/** Deno KV over KV Connect: invalid servers, rejected tokens, outages and timeouts. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { explainConnectError } from "../../../src/store/backends/kv_connect.ts";
import { EMPTY_READ, emptyStore, FakeServer, TOKEN } from "./fake_kv_server.ts";

/** Runs `body` with the access token set to `token`, and restores the previous token. */
async function withToken(token: string | undefined, body: () => Promise<void>): Promise<void> {
  const before = Deno.env.get("DENO_KV_ACCESS_TOKEN");
  const set = (value: string | undefined) =>
    value === undefined
      ? Deno.env.delete("DENO_KV_ACCESS_TOKEN")
      : Deno.env.set("DENO_KV_ACCESS_TOKEN", value);
  set(token);
  try {
    await body();
  } finally {
    set(before);
  }
}

function isUnavailable(...texts: string[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof InferenceError, String(error));
    assert.equal(error.code, "store_unavailable");
    for (const text of texts) assert.ok(error.message.includes(text), error.message);
    return true;
  };
}

Deno.test("kv connect: a missing or rejected token fails when the store is opened", async () => {
  await using server = new FakeServer(emptyStore);
  await withToken(undefined, async () => {
    await assert.rejects(
      DenoKvBackend.open(server.url),
      isUnavailable(server.url, "DENO_KV_ACCESS_TOKEN is not set"),
    );
  });
  await withToken("wrong", async () => {
    await assert.rejects(
      DenoKvBackend.open(server.url),
      isUnavailable(server.url, "rejects the access token; set DENO_KV_ACCESS_TOKEN"),
    );
  });
});

Deno.test("kv connect: a URL of another kind of server fails when the store is opened", async () => {
  await withToken(TOKEN, async () => {
    for (
      const handler of [
        () => new Response("hello"),
        () => Response.json({ version: 9 }),
        () => new Response("no", { status: 404 }),
        () => new Response(null, { status: 302, headers: { location: "/elsewhere" } }),
      ]
    ) {
      await using server = new FakeServer(handler);
      await assert.rejects(
        DenoKvBackend.open(server.url),
        isUnavailable(server.url, "does not speak KV Connect"),
      );
    }
    await assert.rejects(DenoKvBackend.open("http://"), isUnavailable("the URL is invalid"));
  });
});

Deno.test("kv connect: a server that is down at the start is used once it is up", async () => {
  await withToken(TOKEN, async () => {
    await using server = new FakeServer(emptyStore);
    await server.down();
    const changes: (string | null)[] = [];
    const onChange = (problem: string | null) => changes.push(problem);
    const backend = await DenoKvBackend.open(server.url, { onChange });
    const refused = isUnavailable(
      server.url,
      "no response; check that a denokv server is running there",
    );
    await assert.rejects(backend.get(["t", 1]), refused);
    server.up();
    assert.equal(await backend.get(["t", 1]), null);
    assert.match(changes[0] ?? "", /no response/);
    assert.deepEqual(changes.slice(1), [null]);
    backend.close();
  });
});

Deno.test("kv connect: operations time out while the server hangs, and succeed afterwards", async () => {
  await withToken(TOKEN, async () => {
    await using server = new FakeServer(emptyStore);
    const backend = await DenoKvBackend.open(server.url, { timeout: 200 });
    const hung = Promise.withResolvers<Response>();
    server.handler = () => hung.promise.then((response) => response.clone());
    const late = isUnavailable(server.url, "it has not responded for 0.2 s");
    const set = { type: "set", key: ["t", 1], value: new Uint8Array(1) } as const;
    await assert.rejects(backend.get(["t", 1]), late);
    await assert.rejects(backend.getMany([["t", 1]]), late);
    await assert.rejects(Array.fromAsync(backend.list(["t"])), late);
    await assert.rejects(backend.atomic([], [set]), late);
    await assert.rejects(backend.delete(["t", 1]), late);
    server.handler = emptyStore;
    // Deno would otherwise retry forever.
    hung.resolve(new Response(EMPTY_READ));
    await waitUntilReachable(backend);
    backend.close();
  });
});

Deno.test("kv connect: a token rejected later fails operations until it is accepted again", async () => {
  await withToken(TOKEN, async () => {
    await using server = new FakeServer(emptyStore);
    const backend = await DenoKvBackend.open(server.url);
    server.handler = () => new Response("Invalid access token.", { status: 401 });
    const refused = isUnavailable("rejects the access token; set DENO_KV_ACCESS_TOKEN");
    await assert.rejects(backend.get(["t", 1]), refused);
    await assert.rejects(backend.get(["t", 1]), refused);
    server.handler = emptyStore;
    assert.equal(await backend.get(["t", 1]), null);
    backend.close();
  });
});

Deno.test("kv connect: reads use the endpoint with strong consistency", async () => {
  await withToken(TOKEN, async () => {
    const paths: string[] = [];
    await using server = new FakeServer(async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname !== "/") paths.push(pathname);
      const response = await emptyStore(request);
      if (pathname !== "/") return response;
      const { endpoints, ...rest } = await response.json();
      const replica = { url: "/replica", consistency: "eventual" };
      return Response.json({ ...rest, endpoints: [replica, ...endpoints] });
    });
    const backend = await DenoKvBackend.open(server.url);
    await backend.get(["t", 1]);
    await backend.getMany([["t", 1]]);
    await Array.fromAsync(backend.list(["t"]));
    assert.ok(paths.length >= 4, paths.join());
    assert.deepEqual(paths.filter((path) => !path.startsWith("/v2/")), []);
    backend.close();
  });
});

Deno.test("kv connect: operations time out on a port that accepts connections and never responds", async () => {
  await withToken(TOKEN, async () => {
    using silent = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const url = `http://127.0.0.1:${(silent.addr as Deno.NetAddr).port}`;
    const backend = await DenoKvBackend.open(url, { timeout: 100 });
    await assert.rejects(backend.get(["t", 1]), isUnavailable(url, "has not responded for 0.1 s"));
    await assert.rejects(backend.get(["t", 1]), isUnavailable(url, "has not responded for 0.1 s"));
    backend.close();
  });
});

Deno.test("kv connect: server errors are temporary, and unknown messages are passed on", () => {
  const failed = "the metadata endpoint at 'http://x/' responded with status 503 Unavailable";
  assert.deepEqual(
    explainConnectError(new TypeError(`Could not open Deno KV database: ${failed}`)),
    {
      text: `no response; check that a denokv server is running there (${failed})`,
      permanent: false,
    },
  );
  assert.deepEqual(explainConnectError("odd"), { text: "odd", permanent: false });
});

/** Resolves when the backend responds. The server is up, and the client may be waiting to retry. */
async function waitUntilReachable(backend: DenoKvBackend): Promise<void> {
  for (let i = 0; i < 100; i++) {
    try {
      assert.equal(await backend.get(["t", 1]), null);
      return;
    } catch (error) {
      isUnavailable()(error);
    }
  }
  assert.fail("the backend did not recover");
}
