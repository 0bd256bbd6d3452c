/** Slow bodies, bodies in small chunks, and many large bodies. */

import assert from "node:assert/strict";
import {
  BODY_LIMITS,
  type BodyReadOptions,
  readChunks,
  readJson,
} from "../../../routes/middleware/body.ts";
import { MAX_CHUNKS } from "../../../routes/middleware/body_stream.ts";
import { MemoryBudget } from "../../../routes/middleware/memory_budget.ts";
import { errorOf, HI, testApp } from "../fixtures.ts";
import { askAs, tenantApp } from "../tenant_app.ts";

function slow(pieces: readonly string[], pause: number): ReadableStream<Uint8Array> {
  return ReadableStream.from((async function* () {
    for (const piece of pieces) {
      yield new TextEncoder().encode(piece);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  })());
}

function bounds(pause: number): BodyReadOptions {
  return { ...BODY_LIMITS, stallTimeoutMs: pause, memory: new MemoryBudget(Infinity).lease("ada") };
}

function request(body: ReadableStream<Uint8Array>): Request {
  return new Request("http://localhost/", { method: "POST", body });
}

const unchecked = (json: unknown) => json;

Deno.test("a stalled body returns 408", async () => {
  const { app } = testApp({ stalledBodyTimeoutMs: 30 });
  let cancelled = false;
  const never = new ReadableStream<Uint8Array>({ cancel: () => void (cancelled = true) });
  const url = "http://localhost/v1/chat/completions";
  const { message } = await errorOf(
    app.request(url, { method: "POST", body: never }),
    408,
    "request_timeout",
  );
  assert.match(
    message,
    /^The request body arrived too slowly: 0 bytes in 1 s; send it without pauses$/,
  );
  assert.ok(cancelled);
  const after = await app.request(url, { method: "POST", body: JSON.stringify(HI) });
  assert.equal(after.status, 200);
});

Deno.test("a body that arrives too slowly returns 408", async () => {
  const drips = Array.from({ length: 1000 }, () => " ");
  await assert.rejects(readJson(request(slow(drips, 5)), bounds(40), unchecked), {
    code: "request_timeout",
    message: /^The request body arrived too slowly: \d+ bytes/,
  });
});

Deno.test("a chunked body that arrives in time is read completely", async () => {
  const pieces = [...JSON.stringify({ a: "b".repeat(20) })];
  assert.deepEqual(await readJson(request(slow(pieces, 1)), bounds(5_000), unchecked), {
    a: "b".repeat(20),
  });
});

/** A body whose chunks are available immediately. */
function pieces(count: number, bytes: number): ReadableStream<Uint8Array> {
  let left = count;
  return new ReadableStream({
    pull(controller) {
      if (left-- === 0) controller.close();
      else controller.enqueue(new Uint8Array(bytes).fill(32));
    },
  });
}

Deno.test("chunks are combined to blocks without loss", async () => {
  for (
    const [count, bytes] of [[0, 1], [1, 1], [65_536, 1], [3, 65_535], [5, 65_536], [4, 65_537]]
  ) {
    const lengths: number[] = [];
    for await (const block of readChunks(request(pieces(count, bytes)), bounds(5_000), "")) {
      lengths.push(block.length);
      assert.ok(block.every((byte) => byte === 32));
    }
    assert.equal(lengths.reduce((sum, length) => sum + length, 0), count * bytes);
    assert.ok(lengths.length <= Math.max(count, 1) && lengths.length <= 1 + count * bytes / 32_768);
  }
});

Deno.test("a body in too many chunks is rejected", async () => {
  const { app } = testApp();
  const body = pieces(MAX_CHUNKS + 1, 1);
  const url = "http://localhost/v1/chat/completions";
  const { message } = await errorOf(
    app.request(url, { method: "POST", body }),
    400,
    "invalid_value",
  );
  assert.match(
    message,
    /has more than 65536 chunks for 65537 bytes; send larger chunks$/,
  );
});

Deno.test("a slow reader is not mistaken for a slow client", async () => {
  let length = 0;
  for await (const block of readChunks(request(pieces(3, 65_536)), bounds(30), "")) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    length += block.length;
  }
  assert.equal(length, 3 * 65_536);
});

Deno.test("unfinished large bodies share a memory budget; small bodies pass, and large ones do later", async () => {
  const bodyLimit = 100_000;
  const it = await tenantApp(["ada", "bob"], {
    maxBodyBytes: bodyLimit,
    stalledBodyTimeoutMs: 30_000,
  });
  const request = (key: string, body: BodyInit) => {
    const init = { method: "POST", headers: { authorization: `Bearer ${key}-key` }, body };
    return Promise.resolve(it.app.request("http://localhost/v1/chat/completions", init));
  };
  const ends: (() => void)[] = [];
  const large = () => {
    let sent = 0;
    return new ReadableStream({
      start: (controller) => void ends.push(() => controller.close()),
      pull: (controller) => {
        if (sent++ < 1) controller.enqueue(new TextEncoder().encode("x".repeat(90_000)));
      },
    }, { highWaterMark: 0 });
  };
  // Half of the budget, which is 32 bodies of the maximum size.
  const waiting = Array.from({ length: 17 }, () => request("ada", large()));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const refused = await request(
    "ada",
    JSON.stringify({ ...HI, metadata: { a: "x".repeat(90_000) } }),
  );
  assert.equal(refused.headers.get("retry-after"), "1");
  const { message } = await errorOf(refused, 503, "overloaded");
  assert.match(
    message,
    /^Request memory exhausted: 1530000 of 1600000 bytes are in use, 90\d+ more are needed;/,
  );
  assert.equal((await askAs(it, "ada", ["/v1/chat/completions", { body: HI }])).status, 200);
  assert.equal((await askAs(it, "bob", ["/v1/chat/completions", { body: HI }])).status, 200);
  for (const end of ends) end();
  for (const answer of waiting) await errorOf(answer, 400, "invalid_value");
  const again = await request("ada", JSON.stringify({ ...HI, user: "x".repeat(90_000) }));
  assert.notEqual(again.status, 503);
  await again.body?.cancel();
});

Deno.test("a compressed body returns 415 with the supported encoding", async () => {
  const { app } = testApp();
  const gzip = new Response(JSON.stringify(HI)).body!.pipeThrough(new CompressionStream("gzip"));
  const body = await new Response(gzip).bytes();
  for (const encoding of ["gzip", "deflate", "zstd", "br", "identity, gzip"]) {
    const headers = { "content-encoding": encoding };
    const refused = app.request("/v1/chat/completions", { method: "POST", body, headers });
    const { message } = await errorOf(refused, 415, "unsupported_encoding");
    assert.ok(message.includes(`"${encoding}": only identity is supported`), message);
  }
  const plain = {
    method: "POST",
    body: JSON.stringify(HI),
    headers: { "content-encoding": "identity" },
  };
  assert.equal((await app.request("/v1/chat/completions", plain)).status, 200);
});
