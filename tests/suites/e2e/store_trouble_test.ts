/** Workers whose state store server is down or rejects them. */

import assert from "node:assert/strict";
import { emptyStore, FakeServer, TOKEN } from "../../store/backends/fake_kv_server.ts";
import { chatBody, startWorkerProcess } from "./worker_process.ts";

const UNKNOWN = `state_${"0".repeat(48)}`;

Deno.test("a worker starts while its store is down, reports it, and recovers", async () => {
  await using store = new FakeServer(emptyStore);
  await store.down();
  await using worker = await startWorkerProcess(store.url, {
    device: "cpu",
    env: { DENO_KV_ACCESS_TOKEN: TOKEN },
  });
  const resume = async () => {
    const response = await fetch(`${worker.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify(chatBody("Hello!", { stateId: UNKNOWN })),
    });
    const { error } = await response.json();
    return { error, status: response.status, retryAfter: response.headers.get("retry-after") };
  };
  const down = await resume();
  assert.deepEqual([down.status, down.error.code, down.retryAfter], [
    503,
    "store_unavailable",
    "1",
  ]);
  assert.ok(down.error.message.includes(store.url), down.error.message);
  assert.match(worker.log(), /"warn".*state store does not respond.*denokv server/);
  store.up();
  assert.equal((await resume()).error.code, "state_not_found");
  assert.match(worker.log(), /state store has recovered/);
});

Deno.test("a worker without access to its store exits and names the variable to set", async () => {
  await using store = new FakeServer(emptyStore);
  await assert.rejects(
    startWorkerProcess(store.url, { device: "cpu", env: { DENO_KV_ACCESS_TOKEN: "wrong" } }),
    /error: Cannot open the state store "http.*rejects the access token; set DENO_KV_ACCESS_TOKEN/,
  );
});
