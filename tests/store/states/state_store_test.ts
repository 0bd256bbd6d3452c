/** The state store over the memory backend, and its larger promises over Deno KV. */

import assert from "node:assert/strict";
import { type ErrorCode, InferenceError } from "../../../src/core/errors.ts";
import type { Backend, Key } from "../../../src/store/backends/backend.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { BackendWrapper } from "../../support/faults/backend_wrapper.ts";
import { content, MODEL, OTHER_MODEL } from "../fixtures.ts";

const NOW = 1_800_000_000_000;
const DAY = 24 * 3_600_000;

function rejects(promise: Promise<unknown>, code: ErrorCode, message = /./): Promise<void> {
  return assert.rejects(
    promise,
    (error) =>
      error instanceof InferenceError && error.code === code && message.test(error.message),
  );
}

async function keysOf(backend: Backend, kind: string): Promise<Key[]> {
  const keys: Key[] = [];
  for await (const { key } of backend.list(["default", kind])) keys.push(key);
  return keys;
}

function save(store: StateStore, seed: number, options = {}) {
  return store.save(content(seed, options), { id: store.newId(), model: MODEL, parent: null });
}

Deno.test("a saved state is loaded as it was", async () => {
  const backend = new MemoryBackend();
  const store = new StateStore(backend, { now: () => NOW });
  for (const length of [0, 1, 65_536, 65_537, 655_360, 655_361, 2_000_000]) {
    const { id } = await save(store, 3, { length, told: length });
    const loaded = await store.load(id, { model: MODEL });
    assert.deepEqual({ ...loaded, info: 0 }, { ...content(3, { length, told: length }), info: 0 });
    assert.equal(loaded.info.created, NOW);
    assert.equal(loaded.info.expires, NOW + 7 * DAY);
    await store.delete(id);
    assert.equal(backend.size, 0);
  }
});

Deno.test("the state before any token needs no bytes", async () => {
  const store = new StateStore(new MemoryBackend());
  const id = store.newId();
  await store.save({ ...content(1), state: null }, { id, model: MODEL, parent: null });
  assert.equal((await store.load(id, { model: MODEL })).state, null);
});

Deno.test("a begun state has its parent's bytes, a committed one its own", async () => {
  const backend = new MemoryBackend();
  const store = new StateStore(backend);
  const parent = await save(store, 1, { told: 70_000 });
  const id = store.newId();
  const begun = await store.begin(parent, content(2).turn, { id, model: MODEL });
  assert.ok(begun);
  const provisional = await store.load(id, { model: MODEL });
  assert.deepEqual(provisional.state, content(1).state);
  assert.deepEqual(provisional.turn, content(2).turn);
  assert.deepEqual(provisional.history, content(1, { told: 70_000 }).history);
  assert.ok(provisional.open);
  assert.equal(provisional.info.parent, parent.id);
  await store.commit(begun, content(3));
  assert.deepEqual((await store.load(id, { model: MODEL })).state, content(3).state);
  assert.deepEqual((await store.load(parent.id, { model: MODEL })).state, content(1).state);
  await store.delete(parent.id);
  await store.delete(id);
  assert.equal(backend.size, 0);
});

Deno.test("a note is read on its own, replaced by a commit, kept by a renewal, and goes with its state", async () => {
  let now = NOW;
  const backend = new MemoryBackend();
  const store = new StateStore(backend, { now: () => now });
  const told = (text: string) => new TextEncoder().encode(text);
  const id = store.newId();
  const begun = await store.begin(null, content(1).turn, { id, model: MODEL, note: told("a") });
  assert.deepEqual(await store.readNote(begun!), told("a"));
  const committed = await store.commit(begun!, { ...content(2), note: told("b") });
  assert.deepEqual(await store.readNote(committed), told("b"));
  now += 6 * DAY;
  assert.equal(await store.renew(committed), true);
  const { info } = await store.inspect(id);
  assert.deepEqual(await store.readNote(info), told("b"));
  const child = await store.begin(info, content(3).turn, { id: store.newId(), model: MODEL });
  assert.equal(await store.readNote(child!), null);
  await store.delete(child!.id);
  await store.delete(id);
  assert.equal(backend.size, 0);
});

Deno.test("a shared blob goes with its last user, in any order", async () => {
  for (const order of [["parent", "child", "grandchild"], ["grandchild", "parent", "child"]]) {
    const backend = new MemoryBackend();
    const store = new StateStore(backend);
    const parent = await save(store, 1);
    const child = await store.begin(parent, content(2).turn, { id: store.newId(), model: MODEL });
    const loaded = (await store.load(child!.id, { model: MODEL })).info;
    const grandchild = await store.begin(loaded, content(3).turn, {
      id: store.newId(),
      model: MODEL,
    });
    const ids = { parent: parent.id, child: child!.id, grandchild: grandchild!.id };
    for (const [i, name] of order.entries()) {
      await store.delete(ids[name as keyof typeof ids]);
      for (const rest of order.slice(i + 1)) {
        const { state } = await store.load(ids[rest as keyof typeof ids], { model: MODEL });
        assert.deepEqual(state, content(1).state);
      }
    }
    assert.equal(backend.size, 0);
  }
});

Deno.test("begin notices a parent that was replaced or deleted since it was loaded", async () => {
  const backend = new MemoryBackend();
  const store = new StateStore(backend);
  const parent = await store.begin(null, content(1).turn, { id: store.newId(), model: MODEL });
  const { info: stale } = await store.load(parent!.id, { model: MODEL });
  const replaced = await store.commit(parent!, content(2));
  const options = { id: store.newId(), model: MODEL };
  assert.equal(await store.begin(stale, content(3).turn, options), null);
  const child = await store.begin(replaced, content(3).turn, options);
  assert.ok(child);
  await store.delete(replaced.id);
  await rejects(
    store.begin(replaced, content(4).turn, { ...options, id: store.newId() }),
    "state_not_found",
  );
  await store.delete(child.id);
  assert.equal(backend.size, 0);
});

Deno.test("a state deleted during its turn does not come back", async () => {
  const backend = new MemoryBackend();
  const store = new StateStore(backend);
  const begun = await store.begin(null, content(1).turn, { id: store.newId(), model: MODEL });
  await store.delete(begun!.id);
  await rejects(store.commit(begun!, content(2)), "state_not_found", /deleted while/);
  assert.equal(backend.size, 0);
});

Deno.test("a turn is stored although its row was renewed while it ran", async () => {
  let now = NOW;
  const backend = new MemoryBackend();
  const store = new StateStore(backend, { now: () => now });
  const parent = await save(store, 1, { told: 70_000 });
  now += 4 * DAY;
  const conversation = await store.conversations.create();
  const begun = await store.begin(parent, content(2).turn, { id: store.newId(), model: MODEL });
  assert.equal(await store.renew(begun!), true);
  const renewed = (await store.inspect(begun!.id)).info;
  assert.ok(renewed.expires > begun!.expires && renewed.open);
  const stored = await store.commit(begun!, content(3), { conversation });
  assert.ok(stored.moved && !stored.open);
  const { info, state } = await store.load(begun!.id, { model: MODEL });
  assert.deepEqual([state, info.expires], [content(3).state, now + 7 * DAY]);
  // Neither its row from the start nor the renewed one leaves anything.
  for (const { id } of [parent, stored]) await store.delete(id);
  await store.conversations.delete(conversation.id);
  assert.equal(backend.size, 0);
});

Deno.test("a renewal that a turn's end overtakes changes nothing", async () => {
  let now = NOW;
  const memory = new MemoryBackend();
  let before = () => Promise.resolve();
  /** Lets the turn end after the renewal has read its row. */
  class Between extends BackendWrapper {
    protected async intercept<T>(operation: () => Promise<T>, writes: boolean): Promise<T> {
      if (writes) await before();
      return await operation();
    }
  }
  const [store, other] = [memory, new Between(memory)].map((backend) =>
    new StateStore(backend, { now: () => now })
  );
  const begun = await store.begin(null, content(1).turn, { id: store.newId(), model: MODEL });
  now += 4 * DAY;
  before = async () => {
    before = () => Promise.resolve();
    await store.commit(begun!, content(2));
  };
  assert.equal(await other.renew(begun!), false);
  assert.deepEqual((await store.load(begun!.id)).state, content(2).state);
  await store.delete(begun!.id);
  assert.equal(memory.size, 0);
});

Deno.test("a state is loaded whole while it is replaced", async () => {
  const store = new StateStore(await DenoKvBackend.open(":memory:"));
  for (let round = 0; round < 5; round++) {
    const parent = await save(store, 1, { length: 1_500_000 });
    const begun = await store.begin(parent, content(1).turn, { id: store.newId(), model: MODEL });
    await store.delete(parent.id);
    const commit = store.commit(begun!, content(2, { length: 1_500_000 }));
    const loads: Promise<number>[] = [];
    for (let i = 0; i < 6; i++) {
      loads.push(
        store.load(begun!.id, { model: MODEL }).then(({ state, turn }) => {
          const { seed } = JSON.parse(new TextDecoder().decode(turn));
          assert.deepEqual(state, content(seed, { length: 1_500_000 }).state);
          return seed;
        }),
      );
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await commit;
    await Promise.all(loads);
  }
});

Deno.test("unknown, malformed, expired and foreign states are told apart", async () => {
  let now = NOW;
  const backend = new MemoryBackend({ now: () => now });
  const store = new StateStore(backend, { now: () => now, ttl: DAY });
  const { id } = await save(store, 1);
  await rejects(store.load(store.newId(), { model: MODEL }), "state_not_found");
  for (const bad of ["", "state_", "state_../../x", `state_${"A".repeat(48)}`, "x".repeat(5000)]) {
    await rejects(store.load(bad, { model: MODEL }), "state_not_found", /48 hexadecimal digits/);
  }
  await rejects(
    store.load(id, { model: OTHER_MODEL }),
    "model_mismatch",
    /"demo" \(sha256:aaaa\).*"other" \(sha256:bbbb\)/,
  );
  now += DAY - 1;
  await store.load(id, { model: MODEL });
  now += 1;
  await rejects(store.load(id, { model: MODEL }), "state_expired", /expired at 2027/);
  await rejects(store.inspect(id), "state_expired");
  now += 3 * DAY;
  await rejects(store.load(id, { model: MODEL }), "state_not_found");
  assert.deepEqual(await keysOf(backend, "ref"), []);
  assert.deepEqual(await keysOf(backend, "blob"), []);
});

Deno.test("a begun state does not outlive the bytes it shares", async () => {
  let now = NOW;
  const store = new StateStore(new MemoryBackend({ now: () => now }), { now: () => now, ttl: DAY });
  const parent = await save(store, 1);
  now += DAY / 2;
  const begun = await store.begin(parent, content(2).turn, { id: store.newId(), model: MODEL });
  assert.equal(begun!.expires, parent.expires);
  const final = await store.commit(begun!, content(3));
  assert.equal(final.expires, now + DAY);
  now = parent.expires;
  await rejects(store.load(parent.id, { model: MODEL }), "state_expired");
  await store.load(begun!.id, { model: MODEL });
});

Deno.test("damage is an error that says what is wrong", async () => {
  const damage = async (change: (backend: MemoryBackend, chunks: Key[]) => Promise<unknown>) => {
    const backend = new MemoryBackend();
    const store = new StateStore(backend);
    const { id, state } = await save(store, 1, { length: 900_000 });
    const chunks = (await keysOf(backend, "blob")).filter((key) => key[2] === state!.id);
    assert.equal(chunks.length, 14);
    await change(backend, chunks);
    return store.load(id, { model: MODEL });
  };
  const set = (key: Key, value: Uint8Array) => ({ type: "set", key, value } as const);
  await rejects(
    damage(async (backend, chunks) => {
      const { value } = (await backend.get(chunks[5]))!;
      value[77] ^= 1;
      await backend.atomic([], [set(chunks[5], value)]);
    }),
    "state_damaged",
    /checksum differs/,
  );
  await rejects(
    damage((backend, chunks) => backend.delete(chunks[13])),
    "state_damaged",
    /1 of 14 chunks are missing/,
  );
  await rejects(
    damage((backend, chunks) => backend.atomic([], [set(chunks[0], new Uint8Array(5))])),
    "state_damaged",
    /chunk 0 has 5 bytes instead of 65536/,
  );
  await rejects(
    damage((backend, chunks) =>
      backend.atomic([], [set([...chunks[0].slice(0, 3), 14], new Uint8Array(5))])
    ),
    "state_damaged",
    /chunk 14 has 5 bytes/,
  );
  const manifest = async (value: string) => {
    const backend = new MemoryBackend();
    const store = new StateStore(backend);
    const { id } = await save(store, 1);
    await backend.atomic([], [set(["default", "state", id], new TextEncoder().encode(value))]);
    return store.load(id, { model: MODEL });
  };
  await rejects(manifest("{"), "state_damaged", /not JSON/);
  await rejects(
    manifest('{"version":2}'),
    "state_damaged",
    /version 2 and this worker reads version 1/,
  );
  await rejects(manifest('{"version":1}'), "state_damaged", /lacks fields/);
});

Deno.test("tenants do not see each other", async () => {
  const backend = new MemoryBackend();
  const one = new StateStore(backend, { tenant: "one" });
  const two = new StateStore(backend, { tenant: "two" });
  const { id } = await save(one, 1);
  await rejects(two.load(id, { model: MODEL }), "state_not_found");
});

Deno.test("13 MB states saved at once come back whole from Deno KV", async () => {
  const backend = await DenoKvBackend.open(":memory:");
  const store = new StateStore(backend);
  const length = 24 * 2048 * 66 * 4 + 16;
  const saved = await Promise.all([1, 2, 3].map((seed) => save(store, seed, { length })));
  for (const [i, { id }] of saved.entries()) {
    const { state } = await store.load(id, { model: MODEL });
    assert.deepEqual(state, content(i + 1, { length }).state);
  }
  await store.delete(saved[1].id);
  assert.equal((await keysOf(backend, "state")).length, 2);
  assert.equal((await keysOf(backend, "ref")).length, 4);
  backend.close();
});
