/** Tenants' sessions: isolated data, shared resources. */

import assert from "node:assert/strict";
import { Sessions } from "../../src/session/sessions.ts";
import { TenantSessions } from "../../src/session/tenant_sessions.ts";
import { BlobCache } from "../../src/store/states/blob_cache.ts";
import { MemoryBackend } from "../../src/store/backends/memory.ts";
import { StateStore } from "../../src/store/states/state_store.ts";
import { MODEL, rejects, run, tokenizer, ToyRunner, user } from "./fixtures.ts";

function tenantsOf(options: { most?: number; before?: () => Promise<void> } = {}) {
  const backend = new MemoryBackend();
  const runner = new ToyRunner(options.before ? { before: options.before } : {});
  const cache = new BlobCache(1e6);
  const opened: string[] = [];
  const tenants = new TenantSessions({
    maxTenants: options.most,
    open: (tenant, activeTurns) => {
      opened.push(tenant);
      const store = new StateStore(backend, { tenant, cache });
      return new Sessions({ runner, store, tokenizer, model: MODEL, activeTurns });
    },
  });
  return { tenants, runner, cache, opened };
}

Deno.test("each tenant has its own sessions and sees no state of another", async () => {
  const { tenants, runner } = tenantsOf();
  assert.equal(tenants.forTenant("a"), tenants.forTenant("a"));
  assert.notEqual(tenants.forTenant("a"), tenants.forTenant("b"));
  const { stateId } = await run(tenants.forTenant("a"), { messages: [user("hi")], maxTokens: 3 });
  await tenants.forTenant("a").describe(stateId);
  await rejects(tenants.forTenant("b").describe(stateId), "state_not_found");
  const more = { messages: [user("more")], stateId };
  await rejects(tenants.forTenant("b").start(more), "state_not_found");
  // The scheduler is fair between tenants.
  await run(tenants.forTenant("b"), { messages: [user("hi")], maxTokens: 3 });
  assert.deepEqual(runner.works.map(({ fairnessKey }) => fairnessKey), ["a", "b"]);
});

Deno.test("keeps only the recently used tenants' sessions", async () => {
  const { tenants, opened } = tenantsOf({ most: 2 });
  for (const tenant of ["a", "b", "a", "c", "a", "b"]) tenants.forTenant(tenant);
  assert.deepEqual(opened, ["a", "b", "c", "b"]);
  assert.equal(tenants.size, 2);
  const { stateId } = await run(tenants.forTenant("a"), { messages: [user("hi")], maxTokens: 3 });
  for (const tenant of ["b", "c", "d"]) tenants.forTenant(tenant);
  assert.equal((await tenants.forTenant("a").describe(stateId)).id, stateId);
});

Deno.test("cancels and awaits turns of evicted tenants", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { tenants } = tenantsOf({ most: 1, before: () => promise });
  const turn = await tenants.forTenant("a").start({
    messages: [user("hi")],
    maxTokens: 1000,
    stream: true,
  });
  tenants.forTenant("b");
  assert.equal(tenants.size, 1);
  let settled = false;
  const ended = tenants.settled().then(() => settled = true);
  await Promise.resolve();
  assert.equal(settled, false);
  tenants.interrupt();
  resolve();
  await ended;
  await rejects(turn.result(), "shutting_down");
  assert.equal((await tenants.forTenant("a").describe(turn.finalStateId)).open, true);
});

Deno.test("tenants share the size of one cache but none of its entries", async () => {
  const cache = new BlobCache(1000);
  const backend = new MemoryBackend();
  const stores = ["a", "b"].map((tenant) => new StateStore(backend, { tenant, cache }));
  const bytes = (store: StateStore) =>
    store.save({ state: new Uint8Array(600), turn: new Uint8Array(10), open: false }, {
      id: store.newId(),
      model: MODEL,
      parent: null,
    });
  const first = await bytes(stores[0]);
  assert.equal(cache.bytes, 610);
  await bytes(stores[1]);
  assert.ok(cache.bytes <= 1000, `${cache.bytes}`);
  // An id that exists for both tenants refers to each tenant's own state.
  const other = { ...first, state: first.state! };
  await rejects(stores[1].readState(other), "state_not_found");
  assert.equal((await stores[0].readState(first))!.length, 600);
});
