/** Conversations, hashes of transcripts, renewal of states, and the blob cache. */

import assert from "node:assert/strict";
import { BlobCache } from "../../../src/store/states/blob_cache.ts";
import type { Check, Mutation } from "../../../src/store/backends/backend.ts";
import type { Conversation } from "../../../src/store/states/conversations.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { StateStore, type StateStoreOptions } from "../../../src/store/states/state_store.ts";
import { content, DyingBackend, MODEL, ProcessDied } from "../fixtures.ts";
import { rejects } from "../../session/fixtures.ts";

const HOUR = 3_600_000;

function open(options: StateStoreOptions = {}, backend = new MemoryBackend()) {
  return { backend, store: new StateStore(backend, options) };
}

function save(store: StateStore, seed: number, names = {}) {
  const id = store.newId();
  return store.save(content(seed, { length: 1000 }), { id, model: MODEL, parent: null, ...names });
}

async function found(store: StateStore, hashes: readonly string[]) {
  const states: [number, string][] = [];
  for await (const { at, state } of store.prefixes.find(hashes)) states.push([at, state]);
  return states;
}

Deno.test("a stored state becomes the head of its conversation", async () => {
  const { store } = open();
  const created = await store.conversations.create({ metadata: { topic: "cats" } });
  assert.match(created.id, /^conv_[0-9a-f]{48}$/);
  assert.deepEqual([created.head, created.metadata], [null, { topic: "cats" }]);
  const one = await save(store, 1, { conversation: created });
  assert.ok(one.moved);
  const moved = await store.conversations.get(created.id);
  assert.equal(moved.head, one.id);
  assert.deepEqual(moved.metadata, { topic: "cats" });
  const begun = await store.begin(one, content(2).turn, { id: store.newId(), model: MODEL });
  assert.equal((await store.conversations.get(created.id)).head, one.id);
  const two = await store.commit(begun!, content(2), { conversation: moved });
  assert.ok(two.moved);
  assert.equal((await store.conversations.get(created.id)).head, two.id);
  const changed = await store.conversations.update(created.id, { metadata: {} });
  assert.deepEqual([changed.head, changed.metadata], [two.id, {}]);
  await store.conversations.update(created.id, { head: one.id });
  assert.equal((await store.conversations.get(created.id)).head, one.id);
  await store.conversations.delete(created.id);
  await rejects(store.conversations.get(created.id), "conversation_not_found");
  await rejects(store.conversations.delete(created.id), "conversation_not_found");
  await rejects(store.conversations.get("conv_1"), "conversation_not_found", /conv_1/);
  await store.inspect(two.id);
});

Deno.test("of two concurrent turns on one head one moves the conversation, and both states are stored", async () => {
  const backend = new MemoryBackend();
  const stores = [open({}, backend).store, open({}, backend).store];
  const { id } = await stores[0].conversations.create();
  for (let round = 0; round < 1000; round++) {
    const heads = await Promise.all(stores.map((store) => store.conversations.get(id)));
    const ended = await Promise.all(
      stores.map((store, i) => save(store, i, { conversation: heads[i] })),
    );
    const winners = ended.filter(({ moved }) => moved);
    assert.equal(winners.length, 1);
    assert.equal((await stores[0].conversations.get(id)).head, winners[0].id);
    for (const [i, { id }] of ended.entries()) {
      assert.deepEqual(
        (await stores[1 - i].load(id, { model: MODEL })).turn,
        content(i, { length: 1000 }).turn,
      );
    }
    await Promise.all(ended.map(({ id }) => stores[0].delete(id)));
  }
  assert.equal(backend.size, 1);
});

Deno.test("metadata that is changed during a turn is preserved, and the turn is stored", async () => {
  const { store } = open();
  const conversation = await store.conversations.create({ metadata: { a: "before" } });
  await store.conversations.update(conversation.id, { metadata: { a: "meanwhile" } });
  const stored = await save(store, 1, { conversation });
  assert.ok(stored.moved);
  const { head, metadata } = await store.conversations.get(conversation.id);
  assert.deepEqual([head, metadata], [stored.id, { a: "meanwhile" }]);
  // A conversation that was moved or deleted in the meantime is not moved.
  assert.equal((await save(store, 2, { conversation })).moved, false);
  await store.conversations.delete(conversation.id);
  assert.equal((await save(store, 3, { conversation })).moved, false);
});

Deno.test("a change of metadata never shortens a conversation's expiry", async () => {
  let now = 1_000_000;
  const backend = new MemoryBackend();
  const expiries: (number | undefined)[] = [];
  const atomic = backend.atomic.bind(backend);
  backend.atomic = (checks, mutations) => {
    for (const mutation of mutations) {
      if (mutation.type === "set" && mutation.key[1] === "conversation") {
        expiries.push(mutation.expireIn);
      }
    }
    return atomic(checks, mutations);
  };
  const { store } = open({ ttl: HOUR, now: () => now }, backend);
  const conversation = await store.conversations.create();
  await save(store, 1, { conversation, ttl: 10 * HOUR });
  now += 2 * HOUR;
  await store.conversations.update(conversation.id, { metadata: { a: "b" } });
  now += 9 * HOUR;
  await store.conversations.update(conversation.id, { metadata: {} });
  assert.deepEqual(expiries, [HOUR, 10 * HOUR, 8 * HOUR, HOUR]);
});

Deno.test("after a crash at any write a conversation has its old or its new head", async () => {
  for (const after of [false, true]) {
    for (let writes = 0; writes < 4; writes++) {
      const { store, backend } = open();
      const conversation = await store.conversations.create();
      const dying = open({}, new DyingBackend(backend, { writes, after }) as never).store;
      const stored = await save(dying, 1, { conversation }).catch((error) => {
        assert.ok(error instanceof ProcessDied);
        return null;
      });
      const { head } = await store.conversations.get(conversation.id);
      if (stored) assert.equal(head, stored.id);
      if (head !== null) await store.load(head, { model: MODEL });
    }
  }
});

Deno.test("a prefix hash covers the messages up to its position, the model and the tenant", async () => {
  const { store } = open();
  const messages = ["a", "b", "c"].map((content) => ({ role: "User", content }));
  const hashes = await store.prefixes.prefixHashes({ model: "m" }, messages);
  assert.deepEqual(
    await store.prefixes.prefixHashes({ model: "m" }, messages.slice(0, 2)),
    hashes.slice(0, 2),
  );
  const others = [
    await store.prefixes.prefixHashes({ model: "n" }, messages),
    await open({ tenant: "other" }).store.prefixes.prefixHashes({ model: "m" }, messages),
    await store.prefixes.prefixHashes({ model: "m" }, [
      { role: "System", content: "a" },
      ...messages.slice(1),
    ]),
    await store.prefixes.prefixHashes({ model: "m" }, [
      { role: "User", content: "ab" },
      ...messages.slice(2),
    ]),
  ];
  assert.equal(new Set([...hashes, ...others.flat()]).size, 3 + 3 + 3 + 3 + 2);
});

Deno.test("a transcript finds its latest state until that state is deleted", async () => {
  let now = 1_800_000_000_000;
  const { store, backend } = open({ now: () => now++ });
  const [a, b, c] = await store.prefixes.prefixHashes(
    { model: "m" },
    ["a", "b", "c"].map((content) => ({ role: "User", content })),
  );
  assert.deepEqual(await found(store, [a, b, c]), []);
  const one = await save(store, 1, { prefix: a });
  const two = await save(store, 2, { prefix: c });
  assert.deepEqual(await found(store, [c, b, a]), [[0, two.id], [2, one.id]]);
  const three = await save(store, 3, { prefix: a });
  assert.deepEqual(await found(store, [a]), [[0, three.id]]);
  await store.delete(one.id);
  assert.deepEqual(await found(store, [a]), [[0, three.id]]);
  await store.delete(three.id);
  assert.deepEqual(await found(store, [a]), []);
  await store.delete(two.id);
  // The age row of the replaced prefix remains. It is removed with the oldest rows.
  assert.equal(backend.size, 1);
});

Deno.test("the oldest prefixes are removed above the limit", async () => {
  let now = 1_800_000_000_000;
  const { store } = open({ now: () => now++, maxPrefixes: 100 });
  const hashes = Array.from({ length: 400 }, (_, i) => `${i}`.padStart(64, "0"));
  for (const prefix of hashes) {
    await save(store, 1, { prefix });
    await store.prefixes.settled();
    await save(store, 1, { prefix: hashes[0] });
  }
  await store.prefixes.settled();
  const left = (await found(store, hashes)).map(([at]) => at);
  assert.ok(left.length <= 100 + 64, `${left.length}`);
  assert.deepEqual(left[0], 0, "a prefix that is written again stays");
  assert.deepEqual(left.slice(1), hashes.map((_, i) => i).slice(-left.length + 1));
});

Deno.test("a renewed state keeps its prefix and gets a new expiry", async () => {
  let now = 1_800_000_000_000;
  const backend = new MemoryBackend({ now: () => now });
  const { store } = open({ now: () => now, ttl: 10 * HOUR }, backend);
  const kept = await save(store, 1, { prefix: "a" });
  const short = await save(store, 2, { ttl: HOUR });
  assert.equal(short.expires, now + HOUR);
  now += 4 * HOUR;
  assert.equal(await store.renew(kept), false);
  await rejects(store.inspect(short.id), "state_expired");
  now += 2 * HOUR;
  assert.equal(await store.renew(kept), true);
  assert.equal(await store.renew(kept), false, "the manifest has been replaced");
  const { info, state } = await store.load(kept.id, { model: MODEL });
  assert.equal(info.expires, now + 10 * HOUR);
  assert.deepEqual(state, content(1, { length: 1000 }).state);
  now += 9 * HOUR;
  await store.load(kept.id, { model: MODEL });
  assert.deepEqual(await found(store, ["a"]), [[0, kept.id]]);
  await store.delete(kept.id);
});

Deno.test("concurrent renewals of a state rewrite it once", async () => {
  let now = 1_800_000_000_000;
  let blobs = 0;
  class CountingBackend extends MemoryBackend {
    override atomic(checks: readonly Check[], mutations: readonly Mutation[]) {
      blobs += mutations.filter(({ type, key }) => type === "set" && key[1] === "blob").length;
      return super.atomic(checks, mutations);
    }
  }
  const backend = new CountingBackend({ now: () => now });
  const { store } = open({ now: () => now, ttl: 10 * HOUR }, backend);
  const other = new StateStore(backend, { now: () => now, ttl: 10 * HOUR });
  const parent = await save(store, 1);
  now += 6 * HOUR;
  const saved = blobs;
  const renewed = await Promise.all(Array.from({ length: 20 }, () => store.renew(parent)));
  assert.deepEqual(renewed, Array(20).fill(true));
  assert.equal(blobs - saved, saved, "the state's bytes are written once");
  assert.deepEqual(
    [await store.renew(parent), await other.renew(parent)],
    [false, false],
    "a renewal from an old manifest finds the state renewed",
  );
  assert.equal(blobs, 2 * saved);
});

Deno.test("a manifest from before a renewal still reads the state's bytes", async () => {
  let now = 1_800_000_000_000;
  const { store } = open({ now: () => now, ttl: 10 * HOUR });
  const id = store.newId();
  const expected = {
    ...content(1, { length: 90_000, historyBytes: 80_000 }),
    note: content(2).turn,
  };
  const info = await store.save(expected, { id, model: MODEL, parent: null });
  for (let i = 0; i < 2; i++) {
    now += 6 * HOUR;
    assert.equal(await store.renew((await store.inspect(id)).info), true);
    assert.deepEqual(await store.readState(info), expected.state);
    assert.deepEqual(await store.readHistory(info), expected.history);
    assert.deepEqual(await store.readNote(info), expected.note);
  }
  await store.delete(id);
  await rejects(store.readState(info), "state_not_found");
});

Deno.test("a renewal keeps the old blob while a child references it", async () => {
  let now = 1_800_000_000_000;
  const { store } = open({ now: () => now, ttl: 10 * HOUR });
  const parent = await save(store, 1);
  const child = await store.begin(parent, content(2).turn, { id: store.newId(), model: MODEL });
  now += 6 * HOUR;
  await store.renew(parent);
  const { state } = await store.load(child!.id, { model: MODEL });
  assert.deepEqual(state, content(1, { length: 1000 }).state);
});

Deno.test("the blob cache evicts the least recently used blobs", () => {
  const cache = new BlobCache(10);
  const blob = (length: number) => new Uint8Array(length);
  cache.set("a", blob(4));
  cache.set("b", blob(4));
  assert.ok(cache.get("a"));
  cache.set("c", blob(4));
  assert.deepEqual(["a", "b", "c"].map((id) => cache.get(id)?.length), [4, undefined, 4]);
  cache.set("d", blob(11));
  assert.equal(cache.get("d"), undefined);
  assert.equal(cache.bytes, 8);
  cache.set("a", blob(1));
  cache.delete("c");
  cache.delete("c");
  assert.equal(cache.bytes, 1);
});

Deno.test("a cached blob is not fetched, and its manifest is still required", async () => {
  const backend = new MemoryBackend();
  const { store } = open({ cacheBytes: 1e6 }, backend);
  const saved = await save(store, 1);
  let fetched = 0;
  const getMany = backend.getMany.bind(backend);
  backend.getMany = (keys) => {
    fetched += keys.length;
    return getMany(keys);
  };
  assert.deepEqual(
    (await store.load(saved.id, { model: MODEL })).state,
    content(1, { length: 1000 }).state,
  );
  assert.equal(fetched, 0);
  await open({}, backend).store.delete(saved.id);
  await rejects(store.load(saved.id, { model: MODEL }), "state_not_found");
  const conversation: Conversation = await store.conversations.create();
  assert.equal(conversation.head, null);
});
