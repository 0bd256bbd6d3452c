/** Probes of a worker whose engine or store has failed. */

import assert from "node:assert/strict";
import type { StoreStatus, WorkerStatus } from "../../../routes/worker.ts";
import { harness } from "../../session/fixtures.ts";
import { DETAILS, HI, post, STORE, testApp } from "../fixtures.ts";

function worker(changes: Partial<WorkerStatus>): WorkerStatus {
  const { sessions } = harness();
  const ready = Promise.resolve({ forTenant: () => sessions });
  return { state: "ready", reason: null, ready, details: DETAILS, store: STORE, ...changes };
}

Deno.test("while the engine restarts, /ready fails with the reason and /ping returns 204", async () => {
  const reason = "The GPU was lost: the engine is restarting";
  const { app } = testApp({ worker: worker({ state: "rebuilding", reason }) });
  const ready = await app.request("/ready");
  assert.equal(ready.status, 503);
  assert.equal(ready.headers.get("retry-after"), "5");
  const body = await ready.json();
  assert.deepEqual([body.status, body.reason], ["rebuilding", reason]);
  const health = await app.request("/health");
  assert.equal(health.status, 200);
  assert.equal((await health.json()).reason, reason);
  assert.equal((await app.request("/ping")).status, 204);
});

Deno.test("a permanently failed engine fails all three probes with the reason", async () => {
  const reason = "The GPU was lost, the last of several failures in a row";
  const { app } = testApp({ worker: worker({ state: "failed", reason }) });
  for (const path of ["/ready", "/health", "/ping"]) {
    const response = await app.request(path);
    assert.equal(response.status, 503);
    const body = await response.json();
    assert.deepEqual([body.status, body.reason], ["failed", reason]);
  }
});

Deno.test("stored states can be retrieved after a permanent engine failure", async () => {
  const parts = harness();
  const ready = Promise.resolve({ forTenant: () => parts.sessions });
  const { app } = testApp({ worker: worker({ ready }) });
  const { state_id } = await (await post(app, HI)).json();
  const { app: failed } = testApp({ worker: worker({ ready, state: "failed", reason: "gone" }) });
  assert.equal((await failed.request(`/v1/states/${state_id}`)).status, 200);
});

Deno.test("a worker with an unreachable store is ready, and reports the start of the outage", async () => {
  const away: StoreStatus = {
    status: "unreachable",
    problem: "it does not respond in time",
    since: Date.UTC(2026, 0, 1),
  };
  const store = { kind: "server", last: () => away, probe: () => Promise.resolve(away) } as const;
  const { app } = testApp({ worker: worker({ store }) });
  for (const path of ["/ready", "/health"]) {
    const response = await app.request(path);
    assert.equal(response.status, 200);
    assert.deepEqual((await response.json()).store, {
      kind: "server",
      status: "unreachable",
      problem: "it does not respond in time",
      since: "2026-01-01T00:00:00.000Z",
    });
  }
});

Deno.test("/ready does not wait for the store, and reports model and device", async () => {
  const store = { ...STORE, probe: () => new Promise<never>(() => {}) };
  const { app } = testApp({ worker: worker({ store }) });
  const { model, device, adapter } = await (await app.request("/ready")).json();
  assert.deepEqual([model, device, adapter], [DETAILS.model, DETAILS.device, DETAILS.adapter]);
});
