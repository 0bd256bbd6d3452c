/** Encryption of a plaintext store: retained rows, removed rows, and interruptions. */

import assert from "node:assert/strict";
import { type Backend, deleteKeys, type Key } from "../../../src/store/backends/backend.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { EncryptedBackend } from "../../../src/store/encryption/encrypted_backend.ts";
import { encryptStore } from "../../../src/store/encryption/encrypt_store.ts";
import { collectAllGarbage } from "../../../src/store/states/gc.ts";
import { MasterKeys } from "../../../src/store/encryption/master_keys.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { isEncrypted } from "../../../src/store/encryption/row_encryption.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { ApiKeys } from "../../../src/store/keys/api_keys.ts";
import { recordTenant } from "../../../src/store/tenants.ts";
import { FaultyBackend } from "../../support/faults/faulty_backend.ts";
import { Random } from "../../support/random_data.ts";
import { content, MODEL, pattern } from "../fixtures.ts";

const KEYS = await MasterKeys.parse(btoa("k".repeat(32)));
const SECRET = "plaintext marker of this test";
/** Three chunks: two of the maximum size and a smaller one. */
const LENGTH = 150_000;

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const options = { keys: KEYS, now: Date.now, ttl: 3_600_000 };

/** The objects that a test stores in plaintext. */
interface StoredObjects {
  states: { tenant: string; id: string; seed: number }[];
  open: { tenant: string; id: string };
  conversation: string;
  apiKey: string;
}

async function fill(rows: Backend): Promise<StoredObjects> {
  const states: StoredObjects["states"] = [];
  for (const tenant of ["default", "acme"]) {
    await recordTenant(rows, tenant);
    const store = new StateStore(rows, { tenant });
    for (const seed of [1, 2, 3]) {
      const id = store.newId();
      const [hash] = await store.prefixes.prefixHashes({ model: MODEL.fingerprint }, [
        { role: "user", content: `${SECRET} ${seed}` },
      ]);
      const next = { ...content(seed, { length: LENGTH }), history: bytes(SECRET) };
      await store.save(next, { id, model: MODEL, parent: null, prefix: hash });
      states.push({ tenant, id, seed });
    }
  }
  const store = new StateStore(rows);
  // An open state shares its parent's blob.
  const parent = (await store.load(states[0].id, { model: MODEL })).info;
  const open = (await store.begin(parent, bytes(SECRET), { id: store.newId(), model: MODEL }))!.id;
  const { id: conversation } = await store.conversations.create({
    head: states[0].id,
    metadata: { a: SECRET },
  });
  const claim = await store.idempotencyRecords.claim({ key: "k", route: "/", body: SECRET });
  if (!(claim instanceof Uint8Array)) await claim.complete(bytes(SECRET.repeat(5000)));
  const keys = new ApiKeys({ backend: rows, now: Date.now, random });
  const { record: { hash } } = await keys.create("acme");
  return { states, open: { tenant: "default", id: open }, conversation, apiKey: hash };
}

/** Asserts that all objects are readable with the key and all rows are encrypted. */
async function assertEncrypted(rows: Backend, stored: StoredObjects): Promise<void> {
  for await (const { key, value } of rows.list([])) {
    assert.ok(value.length === 0 || isEncrypted(value), JSON.stringify(key));
    assert.notEqual(key[1], "prefix");
  }
  const backend = await EncryptedBackend.over(rows, KEYS);
  for (const { tenant, id, seed } of stored.states) {
    const { state, info } = await load(backend, tenant, id);
    assert.deepEqual(state, pattern(LENGTH, seed));
    assert.equal(info.history?.bytes, SECRET.length);
  }
  const { state, info } = await load(backend, stored.open.tenant, stored.open.id);
  assert.deepEqual([state, info.open], [pattern(LENGTH, 1), true]);
  const store = new StateStore(backend);
  const { head, metadata } = await store.conversations.get(stored.conversation);
  assert.deepEqual([head, metadata], [stored.states[0].id, { a: SECRET }]);
  const found = await new ApiKeys({ backend, now: Date.now, random }).find(stored.apiKey);
  assert.equal(found?.tenant, "acme");
  await assert.rejects(EncryptedBackend.over(rows, MasterKeys.NONE), /set RWKV_MASTER_KEY/);
}

async function load(backend: Backend, tenant: string, id: string) {
  return await new StateStore(backend, { tenant }).load(id, { model: MODEL });
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function keysOf(rows: Backend, prefix: Key): Promise<Key[]> {
  return (await Array.fromAsync(rows.list(prefix))).map(({ key }) => key);
}

for (
  const [name, open] of [
    ["memory", () => new MemoryBackend()],
    ["deno kv", () => DenoKvBackend.open(":memory:")],
  ] as const
) {
  Deno.test(`${name}: a plaintext store is encrypted completely`, async () => {
    const rows = await open();
    const stored = await fill(rows);
    await assert.rejects(EncryptedBackend.over(rows, KEYS), /run `deno task rwkv state encrypt`/);
    const result = await encryptStore(rows, options);
    assert.deepEqual([result.states, result.unreadable], [7, []]);
    await assertEncrypted(rows, stored);
    // Shared blobs are still shared.
    assert.equal((await keysOf(rows, ["default", "blob"])).filter((key) => key[3] === 2).length, 3);

    // A second run has nothing to do.
    const again = await encryptStore(rows, options);
    assert.deepEqual(again, { states: 0, values: 0, removed: 0, unreadable: [] });
    await assertEncrypted(rows, stored);
    rows.close();
  });
}

Deno.test("encryption resumes after an interruption at any point", async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const rows = new MemoryBackend();
    const stored = await fill(rows);
    const faulty = new FaultyBackend(rows, new Random(seed));
    faulty.faults = { delayed: 0, failed: 0.04, lostReply: 0.02, diskFull: false };
    let interruptions = 0;
    while (true) {
      try {
        await encryptStore(faulty, options);
        break;
      } catch {
        if (++interruptions === 20) faulty.faults = { ...faulty.faults, failed: 0, lostReply: 0 };
        // Until encryption is complete, no worker opens the store with or without the key.
        if (await rows.get(["~", "encryption"]) === null) continue;
        await assert.rejects(EncryptedBackend.over(rows, MasterKeys.NONE), /it is encrypted/);
        await assert.rejects(EncryptedBackend.over(rows, KEYS), /encryption is incomplete/);
      }
    }
    assert.ok(interruptions > 0);
    await assertEncrypted(rows, stored);
  }
});

Deno.test("plaintext in an encrypted store is accepted only with `trustPlaintext`", async () => {
  const rows = new MemoryBackend();
  const stored = await fill(rows);
  await encryptStore(rows, options);
  const forged = new MemoryBackend();
  const { states: [{ id }] } = await fill(forged);
  for await (const { key, value } of forged.list(["default"])) {
    await rows.atomic([], [{ type: "set", key, value }]);
  }
  await assert.rejects(encryptStore(rows, options), {
    code: "invalid_value",
    message: /it has \d+ encrypted and \d+ plaintext values, .*--trust-plaintext/,
  });
  await assert.rejects(load(await EncryptedBackend.over(rows, KEYS), "default", id));
  await encryptStore(rows, { ...options, trustPlaintext: true });
  await assertEncrypted(rows, stored);
  assert.ok(await load(await EncryptedBackend.over(rows, KEYS), "default", id));
});

Deno.test("an unreadable state is reported, and remains until it is removed explicitly", async () => {
  const rows = new MemoryBackend();
  const stored = await fill(rows);
  const { id } = stored.states.pop()!;
  const store = new StateStore(rows, { tenant: "acme" });
  const { info } = await store.load(id, { model: MODEL });
  await deleteKeys(rows, [["acme", "blob", info.state!.id, 1]]);
  const { unreadable } = await encryptStore(rows, options);
  assert.deepEqual(unreadable, [id]);
  await assert.rejects(EncryptedBackend.over(rows, KEYS), /encryption is incomplete/);
  const last = await encryptStore(rows, { ...options, removeUnreadable: true });
  assert.deepEqual(last.unreadable, [id]);
  await assertEncrypted(rows, stored);
});

Deno.test("after encryption an expired state still differs from an unknown one", async () => {
  const rows = new MemoryBackend();
  const start = Date.now();
  const store = new StateStore(rows, { ttl: 60_000, now: () => start });
  const id = store.newId();
  await store.save(content(1, { length: LENGTH }), { id, model: MODEL, parent: null });
  const now = () => start + 3_600_000;
  await collectAllGarbage(rows, { now, olderThan: 0 });
  const { states, values } = await encryptStore(rows, { ...options, now });
  assert.deepEqual([states, values], [0, 1]);
  const backend = await EncryptedBackend.over(rows, KEYS);
  await assert.rejects(new StateStore(backend, { now }).load(id, { model: MODEL }), {
    code: "state_expired",
  });
  assert.deepEqual(await keysOf(rows, ["default", "blob"]), []);
});
