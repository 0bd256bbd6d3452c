/** Garbage collection: removed rows, retained rows, and the report. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import type { Backend, Key, Mutation } from "../../../src/store/backends/backend.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { collectGarbage, type Garbage } from "../../../src/store/states/gc.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { type StateInfo, StateStore } from "../../../src/store/states/state_store.ts";
import { content, DyingBackend, MODEL, ProcessDied } from "../fixtures.ts";

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOTHING: Garbage = { states: 0, refs: 0, blobs: 0, chunks: 0, bytes: 0, unreadable: 0 };
const LENGTH = 1_000_000; // 16 chunks, two atomics

/** A store with a fake clock over a database that does not expire rows. */
function storeAt(time: number) {
  const clock = { now: time };
  const now = () => clock.now;
  const backend = new MemoryBackend({ now: () => NOW });
  const store = new StateStore(backend, { now });
  const save = (seed: number, target = store) =>
    target.save(content(seed, { length: LENGTH }), {
      id: target.newId(),
      model: MODEL,
      parent: null,
    });
  const collect = (options = {}) => collectGarbage(backend, { now, ...options });
  return { clock, now, backend, store, save, collect };
}

function begin(store: StateStore, parent: StateInfo, seed: number): Promise<StateInfo | null> {
  return store.begin(parent, content(seed).turn, { id: store.newId(), model: MODEL });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "none";
  } catch (error) {
    assert.ok(error instanceof InferenceError);
    return error.code;
  }
}

async function count(backend: Backend, kind: string): Promise<number> {
  let rows = 0;
  for await (const _ of backend.list(["default", kind])) rows++;
  return rows;
}

/** Leaves the chunks of a writer that crashes before it writes its manifest. */
async function leaveChunks(backend: Backend, now: () => number): Promise<void> {
  const dying = new StateStore(new DyingBackend(backend, { writes: 3, after: false }), { now });
  await assert.rejects(
    dying.save(content(9, { length: LENGTH }), { id: dying.newId(), model: MODEL, parent: null }),
    ProcessDied,
  );
}

/** Does a dry run first, which must report the same and remove nothing. */
async function dryRunThenCollect(
  { backend, collect }: ReturnType<typeof storeAt>,
  options = {},
): Promise<Garbage> {
  const before = backend.size;
  const planned = await collect({ ...options, dryRun: true });
  assert.equal(backend.size, before);
  const removed = await collect(options);
  assert.deepEqual(planned, removed);
  assert.equal(backend.size <= before, true);
  return removed;
}

Deno.test("rows of live states are retained at any age", async () => {
  const world = storeAt(NOW);
  const parent = await world.save(1);
  const begun = await begin(world.store, parent, 2);
  const closed = await world.save(3);
  await world.store.delete(parent.id);
  world.clock.now += 6 * DAY;
  const before = world.backend.size;
  assert.deepEqual(await dryRunThenCollect(world, { olderThan: 0 }), NOTHING);
  assert.equal(world.backend.size, before);
  assert.deepEqual((await world.store.load(begun!.id, { model: MODEL })).state![0], 1);
  assert.deepEqual((await world.store.load(closed.id, { model: MODEL })).state![0], 3);
});

Deno.test("chunks of a killed writer are removed after the grace period", async () => {
  const world = storeAt(NOW);
  await leaveChunks(world.backend, world.now);
  assert.equal(world.backend.size, 17);
  world.clock.now += HOUR - 1;
  assert.deepEqual(await dryRunThenCollect(world), NOTHING);
  assert.deepEqual(await world.collect({ olderThan: 2 * HOUR }), NOTHING);
  world.clock.now += 1;
  const turn = content(9, { length: LENGTH }).turn.length;
  assert.deepEqual(await dryRunThenCollect(world), {
    ...NOTHING,
    blobs: 2,
    chunks: 17,
    bytes: LENGTH + turn,
  });
  assert.equal(world.backend.size, 0);
  await leaveChunks(world.backend, world.now);
  assert.equal((await world.collect({ olderThan: 0 })).blobs, 2);
});

Deno.test("chunks with an id without a time are left to expire", async () => {
  const world = storeAt(NOW);
  const chunk = (id: string): Mutation => (
    { type: "set", key: ["default", "blob", id, 0], value: new Uint8Array(5) }
  );
  await world.backend.atomic([], [chunk("c".repeat(48)), chunk("0".repeat(48))]);
  world.clock.now += 365 * DAY;
  assert.deepEqual(await dryRunThenCollect(world), NOTHING);
  assert.equal(world.backend.size, 2);
});

Deno.test("an expired state's blobs are removed after the grace period, its manifest a day later", async () => {
  const world = storeAt(NOW);
  const { id } = await world.save(1);
  world.clock.now += 7 * DAY;
  assert.equal(await codeOf(world.store.inspect(id)), "state_expired");
  world.clock.now += HOUR - 1;
  assert.deepEqual(await dryRunThenCollect(world), NOTHING);
  world.clock.now += 1;
  const removed = await dryRunThenCollect(world);
  assert.deepEqual({ ...removed, bytes: 0 }, {
    ...NOTHING,
    states: 1,
    refs: 2,
    blobs: 2,
    chunks: 17,
  });
  assert.equal(world.backend.size, 1);
  assert.equal(await codeOf(world.store.inspect(id)), "state_expired");
  assert.deepEqual(await dryRunThenCollect(world), NOTHING);
  world.clock.now += DAY;
  assert.deepEqual(await dryRunThenCollect(world), { ...NOTHING, states: 1 });
  assert.equal(world.backend.size, 0);
  assert.equal(await codeOf(world.store.inspect(id)), "state_not_found");
});

Deno.test("a blob that an expired state shares with a live one is retained", async () => {
  const world = storeAt(NOW);
  const brief = new StateStore(world.backend, { now: world.now, ttl: HOUR });
  const parent = await world.save(1);
  const child = (await begin(brief, parent, 2))!;
  assert.equal(child.expires, NOW + HOUR);
  world.clock.now += 3 * HOUR;
  const removed = await dryRunThenCollect(world);
  assert.deepEqual({ ...removed, bytes: 0 }, {
    ...NOTHING,
    states: 1,
    refs: 2,
    blobs: 1,
    chunks: 1,
  });
  assert.equal((await world.store.load(parent.id, { model: MODEL })).state![0], 1);
});

Deno.test("no turn begins from an expired state whose blobs were removed", async () => {
  const world = storeAt(NOW);
  const brief = new StateStore(world.backend, { now: world.now, ttl: HOUR });
  const parent = await world.save(1);
  const child = (await begin(brief, parent, 2))!;
  await world.store.delete(parent.id);
  world.clock.now += 3 * HOUR;
  assert.equal((await world.collect()).blobs, 2);
  // Without the check the new state would be valid for days without its blobs.
  assert.equal(await begin(world.store, child, 3), null);
  assert.equal(await codeOf(world.store.inspect(child.id)), "state_expired");
});

Deno.test("a turn that ends after its state expired is stored within the grace period", async () => {
  const world = storeAt(NOW);
  const parent = await world.save(1);
  world.clock.now = parent.expires - 1;
  const begun = (await begin(world.store, parent, 2))!;
  world.clock.now += HOUR;
  await world.collect();
  await world.store.commit(begun, content(3, { length: LENGTH }));
  assert.equal((await world.store.load(begun.id, { model: MODEL })).state![0], 3);
});

Deno.test("references from missing states and to unrelated blobs are removed", async () => {
  const world = storeAt(NOW);
  const kept = await world.save(1);
  const missing: StateInfo[] = [];
  for (let seed = 2; seed < 15; seed++) missing.push(await world.save(seed));
  for (const { id } of missing) await world.backend.delete(["default", "state", id]);
  const stray: Key = ["default", "ref", missing[0].state!.id, kept.id];
  await world.backend.atomic([], [{ type: "set", key: stray, value: new Uint8Array() }]);
  world.clock.now += 2 * HOUR;
  const removed = await dryRunThenCollect(world);
  assert.deepEqual({ ...removed, bytes: 0 }, { ...NOTHING, refs: 27, blobs: 26, chunks: 13 * 17 });
  await world.store.delete(kept.id);
  assert.equal(world.backend.size, 0);
});

Deno.test("an unreadable manifest retains all rows that may belong to it", async () => {
  const world = storeAt(NOW);
  for (const [seed, manifest] of ["{", '{"version":2}', '{"version":1}'].entries()) {
    const { id } = await world.save(seed);
    const value = new TextEncoder().encode(manifest);
    await world.backend.atomic([], [{ type: "set", key: ["default", "state", id], value }]);
  }
  world.clock.now += 365 * DAY;
  const before = world.backend.size;
  assert.deepEqual(await dryRunThenCollect(world, { olderThan: 0 }), { ...NOTHING, unreadable: 3 });
  assert.equal(world.backend.size, before);
});

Deno.test("rows of other tenants are retained", async () => {
  const world = storeAt(NOW);
  const other = new StateStore(world.backend, { now: world.now, tenant: "other" });
  await world.save(1, other);
  await leaveChunks(world.backend, world.now);
  world.clock.now += 8 * DAY;
  assert.equal((await dryRunThenCollect(world)).blobs, 2);
  assert.equal((await dryRunThenCollect(world, { tenant: "other" })).states, 1);
});

Deno.test("a collection that crashes at any write is completed by the next one", async () => {
  for (let writes = 0, finished = false; !finished; writes++) {
    assert.ok(writes < 50);
    const world = storeAt(NOW);
    const kept = await world.save(1);
    const dangling = await world.save(2);
    await world.backend.delete(["default", "state", dangling.id]);
    await leaveChunks(world.backend, world.now);
    const brief = new StateStore(world.backend, { now: world.now, ttl: HOUR });
    await world.save(3, brief);
    world.clock.now += 3 * HOUR;
    const dying = new DyingBackend(world.backend, { writes, after: writes % 2 === 0 });
    try {
      await collectGarbage(dying, { now: world.now });
      finished = true;
    } catch (error) {
      assert.ok(error instanceof ProcessDied);
    }
    await world.collect();
    assert.equal((await world.store.load(kept.id, { model: MODEL })).state![0], 1);
    await world.store.delete(kept.id);
    assert.equal(world.backend.size, 1, `${writes}: only the expired state's manifest remains`);
  }
});

Deno.test("garbage collection works with Deno KV", async () => {
  const backend = await DenoKvBackend.open(":memory:");
  const store = new StateStore(backend);
  const kept: string[] = [];
  for (let seed = 0; seed < 12; seed++) {
    const { id } = await store.save(content(seed), {
      id: store.newId(),
      model: MODEL,
      parent: null,
    });
    if (seed % 3 === 0) kept.push(id);
    else await backend.delete(["default", "state", id]);
  }
  for (let i = 0; i < 5; i++) await leaveChunks(backend, Date.now);
  const chunks = 8 * 5 + 5 * 17;
  const removed = await collectGarbage(backend, { olderThan: 0 });
  assert.deepEqual({ ...removed, bytes: 0 }, { ...NOTHING, refs: 16, blobs: 26, chunks });
  for (const [i, id] of kept.entries()) {
    assert.equal((await store.load(id, { model: MODEL })).state![0], 3 * i);
    await store.delete(id);
  }
  for (const kind of ["blob", "ref", "state"]) assert.equal(await count(backend, kind), 0, kind);
  backend.close();
});
