/** A worker process whose engine fails permanently. */

import assert from "node:assert/strict";
import { slowTest } from "../../support/quick.ts";
import { startWorkerProcess, streamMessage, type WorkerProcess } from "./worker_process.ts";

async function start(folder: string, failedMs: number): Promise<WorkerProcess> {
  return await startWorkerProcess(`${folder}/states.sqlite3`, {
    device: "cpu",
    main: "tests/support/faults/given_up_worker.ts",
    // The test worker reads its own environment variable.
    options: ["--allow-env"],
    env: { RWKV_TEST_FAILED_MS: `${failedMs}` },
  });
}

/** Waits until the worker reports that it has failed. */
async function waitUntilFailed({ url }: WorkerProcess): Promise<void> {
  const end = performance.now() + 10_000;
  for (;;) {
    const response = await fetch(`${url}/ready`);
    const { status } = await response.json();
    if (response.status === 503 && status === "failed") return;
    assert.ok(performance.now() < end, status);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

slowTest(
  "a worker whose engine has failed permanently reports it for a while and exits with status 1",
  async () => {
    const folder = await Deno.makeTempDir();
    await using worker = await start(folder, 1500);
    const { stateId, deltas } = await streamMessage(worker.url, "Tell me a story.");
    const reading = Array.fromAsync(deltas).catch(() => {});
    worker.send("SIGUSR1");
    await reading;
    await waitUntilFailed(worker);
    const since = performance.now();
    const refused = await fetch(`${worker.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ messages: [{ role: "user", content: "Hi" }] }),
    });
    assert.equal(refused.status, 503);
    assert.equal((await refused.json()).error.code, "device_lost");
    assert.equal((await fetch(`${worker.url}/v1/states/${stateId}`)).status, 200);
    const { code } = await worker.ended as Deno.CommandStatus;
    assert.equal(code, 1, worker.log());
    assert.ok(performance.now() - since > 1000);
    assert.match(worker.log(), /"The engine has failed permanently"[^]*"Stopping"[^]*"Stopped"/);
    await Deno.remove(folder, { recursive: true });
  },
);

slowTest("a worker whose engine has failed permanently stops immediately on SIGTERM", async () => {
  const folder = await Deno.makeTempDir();
  await using worker = await start(folder, 600_000);
  worker.send("SIGUSR1");
  await waitUntilFailed(worker);
  assert.equal(await worker.stop(), 0, worker.log());
  await Deno.remove(folder, { recursive: true });
});
