/** Garbage collection: what goes, what stays, and what it tells. */

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

/** A store whose time is told, over a database that removes nothing by itself. */
function storeAt(time: number) {
  const clock = { now: time };
  const now = () => clock.now;
  const backend = new MemoryBackend({ now: () => NOW });
  const store = new StateStore(backend, { now });
  const save = (seed: number, by = store) =>
    by.save(content(seed, { length: LENGTH }), { id: by.newId(), model: MODEL, parent: null });
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

/** What a writer leaves that dies before its manifest. */
async function leaveChunks(backend: Backend, now: () => number): Promise<void> {
  const dying = new StateStore(new DyingBackend(backend, { writes: 3, after: false }), { now });
  await assert.rejects(
    dying.save(content(9, { length: LENGTH }), { id: dying.newId(), model: MODEL, parent: null }),
    ProcessDied,
  );
}

/** Asks for a rehearsal first, which must tell the same and remove nothing. */
async function collectTwice(
  { backend, collect }: ReturnType<typeof storeAt>,
  options = {},
): Promise<Garbage> {
  const before = backend.size;
  const told = await collect({ ...options, dryRun: true });
  assert.equal(backend.size, before);
  const gone = await collect(options);
  assert.deepEqual(told, gone);
  assert.equal(backend.size <= before, true);
  return gone;
}

Deno.test("what live states name stays, however old", async () => {
  const it = storeAt(NOW);
  const parent = await it.save(1);
  const begun = await begin(it.store, parent, 2);
  const closed = await it.save(3);
  await it.store.delete(parent.id);
  it.clock.now += 6 * DAY;
  const before = it.backend.size;
  assert.deepEqual(await collectTwice(it, { olderThan: 0 }), NOTHING);
  assert.equal(it.backend.size, before);
  assert.deepEqual((await it.store.load(begun!.id, { model: MODEL })).state![0], 1);
  assert.deepEqual((await it.store.load(closed.id, { model: MODEL })).state![0], 3);
});

Deno.test("chunks of a killed writer go when they are older than the grace time", async () => {
  const it = storeAt(NOW);
  await leaveChunks(it.backend, it.now);
  assert.equal(it.backend.size, 17);
  it.clock.now += HOUR - 1;
  assert.deepEqual(await collectTwice(it), NOTHING);
  assert.deepEqual(await it.collect({ olderThan: 2 * HOUR }), NOTHING);
  it.clock.now += 1;
  const turn = content(9, { length: LENGTH }).turn.length;
  assert.deepEqual(await collectTwice(it), {
    ...NOTHING,
    blobs: 2,
    chunks: 17,
    bytes: LENGTH + turn,
  });
  assert.equal(it.backend.size, 0);
  await leaveChunks(it.backend, it.now);
  assert.equal((await it.collect({ olderThan: 0 })).blobs, 2);
});

Deno.test("chunks whose ids tell no time are left to expire", async () => {
  const it = storeAt(NOW);
  const chunk = (id: string): Mutation => (
    { type: "set", key: ["default", "blob", id, 0], value: new Uint8Array(5) }
  );
  await it.backend.atomic([], [chunk("c".repeat(48)), chunk("0".repeat(48))]);
  it.clock.now += 365 * DAY;
  assert.deepEqual(await collectTwice(it), NOTHING);
  assert.equal(it.backend.size, 2);
});

Deno.test("an expired state's bytes go after the grace time, and its manifest a day later", async () => {
  const it = storeAt(NOW);
  const { id } = await it.save(1);
  it.clock.now += 7 * DAY;
  assert.equal(await codeOf(it.store.inspect(id)), "state_expired");
  it.clock.now += HOUR - 1;
  assert.deepEqual(await collectTwice(it), NOTHING);
  it.clock.now += 1;
  const gone = await collectTwice(it);
  assert.deepEqual({ ...gone, bytes: 0 }, { ...NOTHING, states: 1, refs: 2, blobs: 2, chunks: 17 });
  assert.equal(it.backend.size, 1);
  assert.equal(await codeOf(it.store.inspect(id)), "state_expired");
  assert.deepEqual(await collectTwice(it), NOTHING);
  it.clock.now += DAY;
  assert.deepEqual(await collectTwice(it), { ...NOTHING, states: 1 });
  assert.equal(it.backend.size, 0);
  assert.equal(await codeOf(it.store.inspect(id)), "state_not_found");
});

Deno.test("bytes that an expired state shares with a live one stay", async () => {
  const it = storeAt(NOW);
  const brief = new StateStore(it.backend, { now: it.now, ttl: HOUR });
  const parent = await it.save(1);
  const child = (await begin(brief, parent, 2))!;
  assert.equal(child.expires, NOW + HOUR);
  it.clock.now += 3 * HOUR;
  const gone = await collectTwice(it);
  assert.deepEqual({ ...gone, bytes: 0 }, { ...NOTHING, states: 1, refs: 2, blobs: 1, chunks: 1 });
  assert.equal((await it.store.load(parent.id, { model: MODEL })).state![0], 1);
});

Deno.test("no turn begins from an expired state whose bytes have gone", async () => {
  const it = storeAt(NOW);
  const brief = new StateStore(it.backend, { now: it.now, ttl: HOUR });
  const parent = await it.save(1);
  const child = (await begin(brief, parent, 2))!;
  await it.store.delete(parent.id);
  it.clock.now += 3 * HOUR;
  assert.equal((await it.collect()).blobs, 2);
  // It would last for days, as the bytes would have.
  assert.equal(await begin(it.store, child, 3), null);
  assert.equal(await codeOf(it.store.inspect(child.id)), "state_expired");
});

Deno.test("a turn that ends after its state has expired is stored within the grace time", async () => {
  const it = storeAt(NOW);
  const parent = await it.save(1);
  it.clock.now = parent.expires - 1;
  const begun = (await begin(it.store, parent, 2))!;
  it.clock.now += HOUR;
  await it.collect();
  await it.store.commit(begun, content(3, { length: LENGTH }));
  assert.equal((await it.store.load(begun.id, { model: MODEL })).state![0], 3);
});

Deno.test("refs of states that are not there, or name other blobs, go", async () => {
  const it = storeAt(NOW);
  const kept = await it.save(1);
  const lost: StateInfo[] = [];
  for (let seed = 2; seed < 15; seed++) lost.push(await it.save(seed));
  for (const { id } of lost) await it.backend.delete(["default", "state", id]);
  const stray: Key = ["default", "ref", lost[0].state!.id, kept.id];
  await it.backend.atomic([], [{ type: "set", key: stray, value: new Uint8Array() }]);
  it.clock.now += 2 * HOUR;
  const gone = await collectTwice(it);
  assert.deepEqual({ ...gone, bytes: 0 }, { ...NOTHING, refs: 27, blobs: 26, chunks: 13 * 17 });
  await it.store.delete(kept.id);
  assert.equal(it.backend.size, 0);
});

Deno.test("a manifest that cannot be read keeps all that may be its own", async () => {
  const it = storeAt(NOW);
  for (const [seed, manifest] of ["{", '{"version":2}', '{"version":1}'].entries()) {
    const { id } = await it.save(seed);
    const value = new TextEncoder().encode(manifest);
    await it.backend.atomic([], [{ type: "set", key: ["default", "state", id], value }]);
  }
  it.clock.now += 365 * DAY;
  const before = it.backend.size;
  assert.deepEqual(await collectTwice(it, { olderThan: 0 }), { ...NOTHING, unreadable: 3 });
  assert.equal(it.backend.size, before);
});

Deno.test("other tenants' rows stay", async () => {
  const it = storeAt(NOW);
  const other = new StateStore(it.backend, { now: it.now, tenant: "other" });
  await it.save(1, other);
  await leaveChunks(it.backend, it.now);
  it.clock.now += 8 * DAY;
  assert.equal((await collectTwice(it)).blobs, 2);
  assert.equal((await collectTwice(it, { tenant: "other" })).states, 1);
});

Deno.test("a collection that dies at any write is finished by the next", async () => {
  for (let writes = 0, finished = false; !finished; writes++) {
    assert.ok(writes < 50);
    const it = storeAt(NOW);
    const kept = await it.save(1);
    const dangling = await it.save(2);
    await it.backend.delete(["default", "state", dangling.id]);
    await leaveChunks(it.backend, it.now);
    const brief = new StateStore(it.backend, { now: it.now, ttl: HOUR });
    await it.save(3, brief);
    it.clock.now += 3 * HOUR;
    const dying = new DyingBackend(it.backend, { writes, after: writes % 2 === 0 });
    try {
      await collectGarbage(dying, { now: it.now });
      finished = true;
    } catch (error) {
      assert.ok(error instanceof ProcessDied);
    }
    await it.collect();
    assert.equal((await it.store.load(kept.id, { model: MODEL })).state![0], 1);
    await it.store.delete(kept.id);
    assert.equal(it.backend.size, 1, `${writes}: only the expired state's manifest is left`);
  }
});

Deno.test("Deno KV is collected from as the map is", async () => {
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
  const gone = await collectGarbage(backend, { olderThan: 0 });
  assert.deepEqual({ ...gone, bytes: 0 }, { ...NOTHING, refs: 16, blobs: 26, chunks });
  for (const [i, id] of kept.entries()) {
    assert.equal((await store.load(id, { model: MODEL })).state![0], 3 * i);
    await store.delete(id);
  }
  for (const kind of ["blob", "ref", "state"]) assert.equal(await count(backend, kind), 0, kind);
  backend.close();
});
