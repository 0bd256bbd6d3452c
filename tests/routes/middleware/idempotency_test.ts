/** `Idempotency-Key` of chat completions and responses, on workers that share a store. */

import assert from "node:assert/strict";
import { MAX_STORED_RESPONSE_BYTES } from "../../../routes/middleware/idempotency.ts";
import { CLAIM_MS } from "../../../src/store/idempotency/idempotency_records.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { ids } from "../../session/fixtures.ts";
import { dataOf, errorOf, HI, post, type TestApp, testApp } from "../fixtures.ts";

const SCRIPT = ids(" Hello wörld.\n\n");
const STREAM = { ...HI, stream: true, stream_options: { include_usage: true } };

function sendWithKey(it: TestApp, body: unknown, key = "key-1") {
  return post(it.app, body, { headers: { "idempotency-key": key } });
}

/** Returns the total size of the values of a store area. */
async function sizeOf(backend: MemoryBackend, area: string): Promise<number> {
  const rows = await Array.fromAsync(backend.list(["default", area]));
  return rows.reduce((sum, { value }) => sum + value.length, 0);
}

Deno.test("a retry gets the stored response on any worker", async () => {
  const backend = new MemoryBackend();
  const workers = [
    testApp({ backend, script: SCRIPT }),
    testApp({ backend, script: ids(" no\n\n") }),
  ];
  const first = await sendWithKey(workers[0], HI);
  assert.equal(first.headers.get("idempotent-replayed"), null);
  const text = await first.text();
  assert.match(text, /Hello wörld/);
  for (const it of workers) {
    const again = await sendWithKey(it, { messages: HI.messages, model: HI.model, unknown: 1 });
    assert.equal(again.status, 200);
    assert.equal(await again.text(), text);
    assert.equal(again.headers.get("idempotent-replayed"), "true");
    assert.match(again.headers.get("content-type")!, /^application\/json/);
    assert.equal(again.headers.get("x-state-id"), first.headers.get("x-state-id"));
    assert.notEqual(again.headers.get("x-request-id"), first.headers.get("x-request-id"));
  }
  assert.deepEqual(workers.map(({ runner }) => runner.works.length), [1, 0]);
  await sendWithKey(workers[0], HI, "key-2");
  await post(workers[0].app, HI);
  assert.equal(workers[0].runner.works.length, 3);
});

Deno.test("a stream is replayed chunk by chunk", async () => {
  const backend = new MemoryBackend();
  const one = testApp({ backend, script: SCRIPT });
  const two = testApp({ backend });
  const first = await sendWithKey(one, STREAM);
  const data = await dataOf(first);
  assert.equal(data.at(-1), "[DONE]");
  const again = await sendWithKey(two, STREAM);
  assert.match(again.headers.get("content-type")!, /^text\/event-stream/);
  assert.equal(again.headers.get("x-state-id"), first.headers.get("x-state-id"));
  assert.deepEqual(await dataOf(again), data);
  assert.equal(two.runner.works.length, 0);
  await errorOf(sendWithKey(two, HI), 422, "idempotency_key_reused");
});

Deno.test("a response larger than a database value is replayed", async () => {
  const it = testApp({ script: [...ids(" "), ...Array(2_000).fill(1 + 97), 0] });
  const body = { ...STREAM, max_tokens: 4_000 };
  const first = await (await sendWithKey(it, body)).text();
  assert.ok(first.length > 200_000);
  assert.ok(await (await sendWithKey(it, body)).text() === first);
  assert.equal(it.runner.works.length, 1);
});

Deno.test("of a response that is too large, only the state ids are stored", async () => {
  const backend = new MemoryBackend();
  const script = [...ids(" "), ...Array(4_000).fill(1 + 97), 0];
  const it = testApp({ backend, script });
  const large = { logprobs: true, top_logprobs: 2, max_tokens: 4_000, n: 8 };
  for (const body of [{ ...HI, ...large }, { ...STREAM, ...large }]) {
    const key = `key-${"stream" in body}`;
    const first = await sendWithKey(it, body, key);
    assert.equal(first.status, 200);
    const ids = first.headers.get("x-state-id")!.split(", ");
    const text = await first.text();
    assert.ok(text.length > MAX_STORED_RESPONSE_BYTES, `${text.length}`);
    assert.equal(await sizeOf(backend, "answer"), 0);
    const again = await sendWithKey(it, body, key);
    assert.equal(again.headers.get("x-state-id"), ids[0]);
    const error = await errorOf(again, 410, "answer_gone");
    assert.match(error.message, new RegExp(`too large to store.*${ids[0]}.*new key`));
    await errorOf(sendWithKey(it, { ...body, seed: 1 }, key), 422, "idempotency_key_reused");
  }
  // An interrupted large response is not stored, like a small one.
  let left = 24_000;
  const before = () => {
    if (left-- === 0) throw new TypeError("secret");
  };
  const faulty = testApp({ backend, script, before });
  const body = { ...STREAM, ...large };
  assert.match(await (await sendWithKey(faulty, body, "key-3")).text(), /internal_error/);
  const second = await sendWithKey(faulty, body, "key-3");
  assert.equal((await dataOf(second)).at(-1), "[DONE]");
});

Deno.test("while the first request runs, a second one gets request_in_progress", async () => {
  const gate = Promise.withResolvers<void>();
  const backend = new MemoryBackend();
  const one = testApp({ backend, script: SCRIPT, before: () => gate.promise });
  const two = testApp({ backend, script: SCRIPT });
  const first = sendWithKey(one, HI);
  while (one.runner.works.length === 0) await new Promise((resolve) => setTimeout(resolve));
  for (const it of [one, two]) {
    const second = await sendWithKey(it, HI);
    assert.equal(second.headers.get("retry-after"), "1");
    assert.equal(second.headers.get("x-should-retry"), null);
    await errorOf(second, 409, "request_in_progress");
    await errorOf(sendWithKey(it, { ...HI, seed: 1 }), 422, "idempotency_key_reused");
  }
  gate.resolve();
  const text = await (await first).text();
  assert.equal(await (await sendWithKey(two, HI)).text(), text);
  assert.equal(two.runner.works.length, 0);
});

Deno.test("the key of a killed worker expires after 30 seconds without renewal", async () => {
  let time = 1_800_000_000_000;
  const now = () => time;
  const backend = new MemoryBackend({ now });
  const it = testApp({ backend, storeOptions: { now, monotonic: now }, script: SCRIPT });
  // A killed worker leaves a claim that is not renewed.
  const path = "POST /v1/chat/completions";
  await it.store.idempotencyRecords.claim({ key: "key-1", route: path, body: JSON.stringify(HI) });
  await errorOf(sendWithKey(it, HI), 409, "request_in_progress");
  time += CLAIM_MS;
  const text = await (await sendWithKey(it, HI)).text();
  assert.match(text, /Hello/);
  assert.equal(await (await sendWithKey(it, HI)).text(), text);
});

Deno.test("permanent errors are replayed, temporary ones are not", async () => {
  const backend = new MemoryBackend();
  const it = testApp({ backend, script: SCRIPT });
  const missing = { ...HI, state_id: `state_${"0".repeat(48)}` };
  await errorOf(sendWithKey(it, missing), 400, "state_not_found");
  const again = await sendWithKey(it, missing);
  assert.equal(again.headers.get("idempotent-replayed"), "true");
  await errorOf(again, 400, "state_not_found");

  let broken = true;
  const before = () => {
    if (broken) throw new TypeError("secret");
  };
  const faulty = testApp({ backend, script: SCRIPT, before });
  await errorOf(sendWithKey(faulty, HI, "key-2"), 500, "internal_error");
  const cut = await (await sendWithKey(faulty, STREAM, "key-3")).text();
  assert.match(cut, /internal_error/);
  broken = false;
  for (const [key, body] of [["key-2", HI], ["key-3", STREAM]] as const) {
    const response = await sendWithKey(faulty, body, key);
    assert.equal(response.headers.get("idempotent-replayed"), null);
    assert.match(await response.text(), /Hello|wörld/);
  }
});

Deno.test("a cancelled stream releases its key", async () => {
  const before = () => new Promise<void>((resolve) => setTimeout(resolve, 1));
  const it = testApp({ script: SCRIPT, before });
  const first = await sendWithKey(it, STREAM);
  const reader = first.body!.getReader();
  await reader.read();
  await reader.cancel();
  await it.sessions.settled();
  const second = await sendWithKey(it, STREAM);
  assert.equal(second.headers.get("idempotent-replayed"), null);
  assert.equal((await dataOf(second)).at(-1), "[DONE]");
});

Deno.test("deleting a state deletes the stored responses with its id, on every route", async () => {
  const routes = [
    ["/v1/chat/completions", HI],
    ["/v1/chat/completions", { ...STREAM, n: 2 }],
    ["/v1/completions", { prompt: "a" }],
    ["/v1/responses", { input: "a" }],
    ["/v1/responses", { input: "a", stream: true }],
  ] as const;
  for (const [path, body] of routes) {
    const backend = new MemoryBackend();
    const it = testApp({ backend, script: [...SCRIPT, 0] });
    const ask = () =>
      it.app.request(path, {
        method: "POST",
        headers: { "idempotency-key": "k" },
        body: JSON.stringify(body),
      });
    const first = await ask();
    const id = first.headers.get("x-state-id")!.split(", ").at(-1);
    await first.text();
    const again = await ask();
    assert.equal(again.headers.get("idempotent-replayed"), "true");
    await again.text();
    const deleted = await it.app.request(`/v1/states/${id}`, { method: "DELETE" });
    assert.ok(deleted.ok, path);
    await deleted.body?.cancel();
    const error = await errorOf(ask(), 410, "answer_gone");
    assert.equal(error.param, "Idempotency-Key");
    const texts = await Array.fromAsync(
      backend.list(["default", "answer"]),
      ({ value }) => new TextDecoder().decode(value),
    );
    assert.deepEqual(texts, [], path);
    await errorOf(it.app.request(`/v1/states/${id}`), 404, "state_not_found");
  }
});

Deno.test("a retried response is identical, with and without streaming", async () => {
  const backend = new MemoryBackend();
  let broken = false;
  const before = () => {
    if (broken) throw new TypeError("secret");
  };
  const it = testApp({ backend, script: SCRIPT, before });
  const other = testApp({ backend });
  for (const [key, stream] of [["key-1", false], ["key-2", true]] as const) {
    const respond = ({ app }: TestApp) =>
      app.request("/v1/responses", {
        method: "POST",
        headers: { "idempotency-key": key },
        body: JSON.stringify({ input: "event: x", stream, max_output_tokens: 50 }),
      });
    broken = stream;
    if (broken) assert.match(await (await respond(it)).text(), /event: response\.failed/);
    broken = false;
    const first = await respond(it);
    assert.equal(first.headers.get("idempotent-replayed"), null);
    const text = await first.text();
    assert.match(text, /completed/);
    for (const worker of [it, other]) {
      const again = await respond(worker);
      assert.equal(again.headers.get("idempotent-replayed"), "true");
      assert.equal(again.headers.get("x-state-id"), first.headers.get("x-state-id"));
      assert.equal(await again.text(), text);
    }
  }
  assert.equal(other.runner.works.length, 0);
});

Deno.test("a key that is too long is rejected", async () => {
  await errorOf(sendWithKey(testApp(), HI, "k".repeat(256)), 400, "invalid_value");
});

Deno.test("store: false stores nothing, even with a key", async () => {
  for (const body of [HI, STREAM]) {
    const backend = new MemoryBackend();
    const it = testApp({ backend, script: [...SCRIPT, ...SCRIPT] });
    const texts: string[] = [];
    for (let i = 0; i < 2; i++) {
      const answer = await sendWithKey(it, { ...body, store: false });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("x-state-id"), null);
      assert.equal(answer.headers.get("idempotent-replayed"), null);
      texts.push(await answer.text());
      assert.match(texts[i], /w.rld/);
      assert.match(texts[i], /"state_id":null/);
      assert.doesNotMatch(texts[i], /warning|state_[0-9a-f]/);
    }
    await it.sessions.settled();
    assert.equal(backend.size, 0);
    assert.equal(it.runner.works.length, 2);
  }
});

Deno.test("store: false is rejected in a conversation", async () => {
  const it = testApp();
  const body = { ...HI, conversation: `conv_${"0".repeat(48)}`, store: false };
  const error = await errorOf(sendWithKey(it, body), 400, "invalid_value");
  assert.equal(error.param, "store");
});
