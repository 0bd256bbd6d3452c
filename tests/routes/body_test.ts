/** Bodies that do not come, or come drop by drop. */

import assert from "node:assert/strict";
import { BODY_LIMITS, readJson } from "../../routes/body.ts";
import { errorOf, HI, testApp } from "./fixtures.ts";

function slow(pieces: readonly string[], pause: number): ReadableStream<Uint8Array> {
  return ReadableStream.from((async function* () {
    for (const piece of pieces) {
      yield new TextEncoder().encode(piece);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  })());
}

function request(body: ReadableStream<Uint8Array>): Request {
  return new Request("http://localhost/", { method: "POST", body });
}

Deno.test("a body that stops coming is given up, and the client told", async () => {
  const { app } = testApp({ bodyPause: 30 });
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
    /^The request body came too slowly: 0 bytes in 1 s; send it without a pause$/,
  );
  assert.ok(cancelled);
  const after = await app.request(url, { method: "POST", body: JSON.stringify(HI) });
  assert.equal(after.status, 200);
});

Deno.test("a body that drips without a pause is given up as well", async () => {
  const drips = Array.from({ length: 1000 }, () => " ");
  await assert.rejects(readJson(request(slow(drips, 5)), { ...BODY_LIMITS, pause: 40 }), {
    code: "request_timeout",
    message: /^The request body came too slowly: \d+ bytes/,
  });
});

Deno.test("a body in pieces that come in time is whole", async () => {
  const pieces = [...JSON.stringify({ a: "b".repeat(20) })];
  const limits = { ...BODY_LIMITS, pause: 5_000 };
  assert.deepEqual(await readJson(request(slow(pieces, 1)), limits), { a: "b".repeat(20) });
});
