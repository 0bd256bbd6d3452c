/** A key's rate limit over two workers that share a store. */

import assert from "node:assert/strict";
import { rwkv } from "../cli/shared_cli.ts";
import { slowTest } from "../../support/quick.ts";
import { chatBody, startWorkerProcess, type WorkerProcess } from "./worker_process.ts";

const LIMIT = 10;

/** Milliseconds after which workers have exchanged their usage, with a margin. */
const HEARD = 3_000;

interface Asked {
  status: number;
  remaining: number;
  retryAfter: number;
}

async function ask({ url }: WorkerProcess, key: string): Promise<Asked> {
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

function pass(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Sends requests until the limit is reached and returns the number of successful ones. */
async function useUp(worker: WorkerProcess, key: string): Promise<number> {
  for (let taken = 0;;) {
    const { status, retryAfter } = await ask(worker, key);
    if (status === 200) taken++;
    else if (retryAfter > 2) return taken;
    // Only this worker's share is used up: it must exchange usage again.
    else await pass(1000 * retryAfter);
  }
}

slowTest("a rate limit applies to the sum over all workers", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const kv = `${folder}/states.sqlite3`;
    const flags = ["--requests-per-minute", String(LIMIT)];
    const made = await rwkv(["keys", "create", "--tenant", "ada", ...flags, "--kv", kv, "--json"]);
    assert.equal(made.code, 0, made.stderr);
    const { key } = JSON.parse(made.stdout);
    const env = { RWKV_API_KEYS: "bob:0123456789abcdef" };
    await using one = await startWorkerProcess(kv, { device: "cpu" });
    await using two = await startWorkerProcess(kv, { device: "cpu", env });
    for (let i = 1; i <= 5; i++) {
      const { status, remaining } = await ask(one, key);
      assert.deepEqual([status, remaining], [200, LIMIT - i]);
    }
    await pass(HEARD);
    // The second worker accepts its first request before it knows the usage of the first one.
    const taken = 5 + await useUp(two, key);
    assert.ok(taken >= LIMIT && taken <= LIMIT + 3, `${taken} requests were accepted`);
    // The first worker also learns the new usage with its next request.
    await ask(one, key);
    await pass(HEARD);
    const refused = await ask(one, key);
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
