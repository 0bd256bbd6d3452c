/** A key's rate limit over two workers that share a store. */

import assert from "node:assert/strict";
import { rwkv } from "../cli/shared_cli.ts";
import { slowTest } from "../../support/quick.ts";
import { chatBody, startWorkerProcess, type WorkerProcess } from "./worker_process.ts";

const LIMIT = 10;

/** Milliseconds after which workers have exchanged their usage, with a margin. */
const EXCHANGE_MS = 3_000;

interface RateLimitReply {
  status: number;
  remaining: number;
  retryAfter: number;
}

async function send({ url }: WorkerProcess, key: string): Promise<RateLimitReply> {
  const { status, headers, body } = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify(chatBody("Hi!", { maxTokens: 1 })),
  });
  await body?.cancel();
  assert.equal(headers.get("x-ratelimit-limit-requests"), String(LIMIT));
  return {
    status,
    remaining: Number(headers.get("x-ratelimit-remaining-requests")),
    retryAfter: Number(headers.get("retry-after")),
  };
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Sends requests until the limit is reached and returns the number of successful ones. */
async function exhaust(worker: WorkerProcess, key: string): Promise<number> {
  for (let accepted = 0;;) {
    const { status, retryAfter } = await send(worker, key);
    if (status === 200) accepted++;
    else if (retryAfter > 2) return accepted;
    // Only this worker's share is used up: it must exchange usage again.
    else await delay(1000 * retryAfter);
  }
}

slowTest("a rate limit applies to the sum over all workers", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const kv = `${folder}/states.sqlite3`;
    const flags = ["--requests-per-minute", String(LIMIT)];
    const created = await rwkv([
      "keys",
      "create",
      "--tenant",
      "ada",
      ...flags,
      "--kv",
      kv,
      "--json",
    ]);
    assert.equal(created.code, 0, created.stderr);
    const { key } = JSON.parse(created.stdout);
    const env = { RWKV_API_KEYS: "bob:0123456789abcdef" };
    await using one = await startWorkerProcess(kv, { device: "cpu" });
    await using two = await startWorkerProcess(kv, { device: "cpu", env });
    for (let i = 1; i <= 5; i++) {
      const { status, remaining } = await send(one, key);
      assert.deepEqual([status, remaining], [200, LIMIT - i]);
    }
    await delay(EXCHANGE_MS);
    // The second worker accepts its first request before it knows the usage of the first one.
    const accepted = 5 + await exhaust(two, key);
    assert.ok(accepted >= LIMIT && accepted <= LIMIT + 3, `${accepted} requests were accepted`);
    // The first worker also learns the new usage with its next request.
    await send(one, key);
    await delay(EXCHANGE_MS);
    const refused = await send(one, key);
    assert.deepEqual([refused.status, refused.remaining], [429, 0]);
    // A key without a limit is not limited.
    const free = await fetch(`${two.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer 0123456789abcdef" },
      body: JSON.stringify(chatBody("Hi!", { maxTokens: 1 })),
    });
    await free.body?.cancel();
    assert.equal(free.status, 200);
    assert.equal(free.headers.get("x-ratelimit-limit-requests"), null);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
