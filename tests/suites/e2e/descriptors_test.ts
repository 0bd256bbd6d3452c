/** A worker whose file descriptors are exhausted by idle connections. */

import assert from "node:assert/strict";
import { slowTest } from "../../support/quick.ts";
import { setTimeout as delay } from "node:timers/promises";
import { sendMessage, startWorkerProcess } from "./worker_process.ts";

const DESCRIPTORS = 128;
const TOKENS = 1000;

/** A connection that has sent only part of a request head. */
interface IdleConnection {
  connection: Deno.Conn;
  /** Resolves when the worker has closed the connection. */
  ended: Promise<void>;
}

async function openIdleConnection(url: string): Promise<IdleConnection | null> {
  const { hostname, port } = new URL(url);
  const connection = await Deno.connect({ hostname, port: Number(port) }).catch(() => null);
  if (connection === null) return null;
  const head = new TextEncoder().encode("GET /health HTTP/1.1\r\nHost: localhost\r\n");
  await connection.write(head).catch(() => {});
  const ended = connection.read(new Uint8Array(1)).then(() => {}, () => {});
  return { connection, ended };
}

/** Resolves when the worker responds. */
async function waitUntilAnswered(url: string): Promise<void> {
  const end = performance.now() + 10_000;
  while (true) {
    const signal = AbortSignal.timeout(1000);
    const response = await fetch(`${url}/health`, { signal }).catch(() => null);
    await response?.body?.cancel();
    if (response?.status === 200) return;
    assert.ok(performance.now() < end, "the worker does not respond");
    await delay(50);
  }
}

slowTest(
  "a worker without file descriptors finishes its turns, closes idle connections and recovers",
  async () => {
    const folder = await Deno.makeTempDir();
    const idlers: IdleConnection[] = [];
    try {
      const options = { device: "cpu", descriptors: DESCRIPTORS } as const;
      await using worker = await startWorkerProcess(`${folder}/states.sqlite3`, options);
      const { stateId } = await sendMessage(worker.url, "Hi! My name is Ada.");
      const expected = await sendMessage(worker.url, "What is my name?", { stateId });
      // A turn that is still running when the descriptors are exhausted.
      const long = { logit_bias: { 0: -100 }, stop: [], max_tokens: TOKENS, stream: true };
      const turn = await fetch(`${worker.url}/v1/completions`, {
        method: "POST",
        body: JSON.stringify({ prompt: "Once upon a time", ...long }),
      });
      let done = false;
      const reading = turn.text().finally(() => done = true);
      const full = () => worker.log().includes("Cannot accept connections");
      while (!full() && !done) {
        const one = await openIdleConnection(worker.url);
        if (one === null) break;
        idlers.push(one);
      }
      await delay(500);
      assert.ok(full() && !done, worker.log());
      assert.ok(idlers.length > DESCRIPTORS / 2, `only ${idlers.length} connections`);

      const text = await reading;
      assert.match(text, /"finish_reason":"length"/);
      assert.ok(text.trimEnd().endsWith("[DONE]"), text.slice(-300));
      await waitUntilAnswered(worker.url);
      assert.equal(
        (await sendMessage(worker.url, "What is my name?", { stateId })).text,
        expected.text,
      );
      await Promise.race([
        Promise.all(idlers.slice(0, DESCRIPTORS / 2).map(({ ended }) => ended)),
        delay(10_000).then(() => assert.fail("idle connections are still open")),
      ]);
      const warnings = worker.log().split("\n").filter((line) => line.includes("Cannot accept"));
      assert.equal(warnings.length, 1, worker.log());
      assert.equal(await worker.stop(), 0, worker.log());
    } finally {
      for (const { connection, ended } of idlers) {
        connection.close();
        await ended;
      }
      await Deno.remove(folder, { recursive: true });
    }
  },
);
