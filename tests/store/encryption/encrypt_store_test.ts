/** Encrypting a store that has plaintext values: what is kept, what goes, and interruptions. */

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
const SECRET = "a word that nobody else says";
/** Three chunks of a database, the first two of them as large as they may be. */
const LENGTH = 150_000;

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const options = { keys: KEYS, now: Date.now, ttl: 3_600_000 };

/** What a plaintext store holds, to be found again. */
interface Planted {
  states: { tenant: string; id: string; seed: number }[];
  open: { tenant: string; id: string };
  conversation: string;
  apiKey: string;
}

async function plant(rows: Backend): Promise<Planted> {
  const states: Planted["states"] = [];
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
  // An open turn shares its parent's blob.
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

/** Everything that was planted is there, and nothing else can be seen in the rows. */
async function assertEncrypted(rows: Backend, planted: Planted): Promise<void> {
  for await (const { key, value } of rows.list([])) {
    assert.ok(value.length === 0 || isEncrypted(value), JSON.stringify(key));
    assert.notEqual(key[1], "prefix");
  }
  const backend = await EncryptedBackend.over(rows, KEYS);
  for (const { tenant, id, seed } of planted.states) {
    const { state, info } = await load(backend, tenant, id);
    assert.deepEqual(state, pattern(LENGTH, seed));
    assert.equal(info.history?.bytes, SECRET.length);
  }
  const { state, info } = await load(backend, planted.open.tenant, planted.open.id);
  assert.deepEqual([state, info.open], [pattern(LENGTH, 1), true]);
  const store = new StateStore(backend);
  const { head, metadata } = await store.conversations.get(planted.conversation);
  assert.deepEqual([head, metadata], [planted.states[0].id, { a: SECRET }]);
  const found = await new ApiKeys({ backend, now: Date.now, random }).find(planted.apiKey);
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
  Deno.test(`${name}: a plaintext store is encrypted, with everything that it holds`, async () => {
    const rows = await open();
    const planted = await plant(rows);
    await assert.rejects(EncryptedBackend.over(rows, KEYS), /run `deno task rwkv state encrypt`/);
    const result = await encryptStore(rows, options);
    assert.deepEqual([result.states, result.unreadable], [7, []]);
    await assertEncrypted(rows, planted);
    // Blobs that states shared are shared still.
    assert.equal((await keysOf(rows, ["default", "blob"])).filter((key) => key[3] === 2).length, 3);

    // Once more there is nothing to do.
    const again = await encryptStore(rows, options);
    assert.deepEqual(again, { states: 0, values: 0, removed: 0, unreadable: [] });
    await assertEncrypted(rows, planted);
    rows.close();
  });
}

Deno.test("encryption that is interrupted anywhere goes on where it was", async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const rows = new MemoryBackend();
    const planted = await plant(rows);
    const faulty = new FaultyBackend(rows, new Random(seed));
    faulty.faults = { delayed: 0, failed: 0.04, lostReply: 0.02, diskFull: false };
    let interruptions = 0;
    while (true) {
      try {
        await encryptStore(faulty, options);
        break;
      } catch {
        if (++interruptions === 20) faulty.faults = { ...faulty.faults, failed: 0, lostReply: 0 };
        // In between no worker opens it, with its key or without.
        if (await rows.get(["~", "encryption"]) === null) continue;
        await assert.rejects(EncryptedBackend.over(rows, MasterKeys.NONE), /it is encrypted/);
        await assert.rejects(EncryptedBackend.over(rows, KEYS), /encryption is incomplete/);
      }
    }
    assert.ok(interruptions > 0);
    await assertEncrypted(rows, planted);
  }
});

Deno.test("plaintext beside encrypted values is taken only if it is trusted", async () => {
  const rows = new MemoryBackend();
  const planted = await plant(rows);
  await encryptStore(rows, options);
  const forged = new MemoryBackend();
  const { states: [{ id }] } = await plant(forged);
  for await (const { key, value } of forged.list(["default"])) {
    await rows.atomic([], [{ type: "set", key, value }]);
  }
  await assert.rejects(encryptStore(rows, options), {
    code: "invalid_value",
    message: /it has \d+ encrypted and \d+ plaintext values, .*--trust-plaintext/,
  });
  await assert.rejects(load(await EncryptedBackend.over(rows, KEYS), "default", id));
  await encryptStore(rows, { ...options, trustPlaintext: true });
  await assertEncrypted(rows, planted);
  assert.ok(await load(await EncryptedBackend.over(rows, KEYS), "default", id));
});

Deno.test("a state that cannot be read is named, and stays until it is removed", async () => {
  const rows = new MemoryBackend();
  const planted = await plant(rows);
  const { id } = planted.states.pop()!;
  const store = new StateStore(rows, { tenant: "acme" });
  const { info } = await store.load(id, { model: MODEL });
  await deleteKeys(rows, [["acme", "blob", info.state!.id, 1]]);
  const { unreadable } = await encryptStore(rows, options);
  assert.deepEqual(unreadable, [id]);
  await assert.rejects(EncryptedBackend.over(rows, KEYS), /encryption is incomplete/);
  const last = await encryptStore(rows, { ...options, removeUnreadable: true });
  assert.deepEqual(last.unreadable, [id]);
  await assertEncrypted(rows, planted);
});

Deno.test("an expired state is told from an unknown one after its store was encrypted", async () => {
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
