/** Deno KV by URL, where what answers is no server, one that refuses, or one that comes and goes. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { explainConnectError } from "../../../src/store/backends/kv_connect.ts";
import { emptyStore, FakeServer, NOTHING, TOKEN } from "./fake_kv_server.ts";

/** Runs `body` with the access token set to `token`, and puts back what was there. */
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

Deno.test("kv connect: a token that is missing or refused is told at opening", async () => {
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

Deno.test("kv connect: what is no such server is told at opening", async () => {
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

Deno.test("kv connect: a server that is down at the start is used when it is up", async () => {
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

Deno.test("kv connect: one that hangs fails every operation in time, and works again", async () => {
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
    // Or Deno would go on asking for ever.
    hung.resolve(new Response(NOTHING));
    await answered(backend);
    backend.close();
  });
});

Deno.test("kv connect: a token that is refused later is told, and taken again when it is right", async () => {
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

Deno.test("kv connect: of a database with copies, the one that knows all is read", async () => {
  await withToken(TOKEN, async () => {
    const asked: string[] = [];
    await using server = new FakeServer(async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname !== "/") asked.push(pathname);
      const answer = await emptyStore(request);
      if (pathname !== "/") return answer;
      const { endpoints, ...rest } = await answer.json();
      const copy = { url: "/copy", consistency: "eventual" };
      return Response.json({ ...rest, endpoints: [copy, ...endpoints] });
    });
    const backend = await DenoKvBackend.open(server.url);
    await backend.get(["t", 1]);
    await backend.getMany([["t", 1]]);
    await Array.fromAsync(backend.list(["t"]));
    assert.ok(asked.length >= 4, asked.join());
    assert.deepEqual(asked.filter((path) => !path.startsWith("/v2/")), []);
    backend.close();
  });
});

Deno.test("kv connect: a port that takes connections and never answers", async () => {
  await withToken(TOKEN, async () => {
    using silent = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const url = `http://127.0.0.1:${(silent.addr as Deno.NetAddr).port}`;
    const backend = await DenoKvBackend.open(url, { timeout: 100 });
    await assert.rejects(backend.get(["t", 1]), isUnavailable(url, "has not responded for 0.1 s"));
    await assert.rejects(backend.get(["t", 1]), isUnavailable(url, "has not responded for 0.1 s"));
    backend.close();
  });
});

Deno.test("kv connect: a server's trouble passes, and texts that nobody knows are kept", () => {
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

/** Resolves when the backend answers; its server is up, and its client may be waiting to try. */
async function answered(backend: DenoKvBackend): Promise<void> {
  for (let i = 0; i < 100; i++) {
    try {
      assert.equal(await backend.get(["t", 1]), null);
      return;
    } catch (error) {
      isUnavailable()(error);
    }
  }
  assert.fail("it does not work again");
}
