/** API keys in the store, on both backends, and which tenants a store has. */

import assert from "node:assert/strict";
import { hashKey, isKeyText, keyId, newKeyText } from "../../../src/store/keys/api_key_text.ts";
import { ApiKeys } from "../../../src/store/keys/api_keys.ts";
import type { Backend } from "../../../src/store/backends/backend.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { collectAllGarbage } from "../../../src/store/states/gc.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { randomBytes } from "../../../src/store/states/state_id.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { listTenants, recordTenant } from "../../../src/store/tenants.ts";
import { rejects } from "../../session/fixtures.ts";
import { content, MODEL } from "../fixtures.ts";

const BACKENDS: [string, () => Promise<Backend>][] = [
  ["memory", () => Promise.resolve(new MemoryBackend())],
  ["deno kv", () => DenoKvBackend.open(":memory:")],
];

for (const [name, open] of BACKENDS) {
  const test = (what: string, body: (keys: ApiKeys, backend: Backend) => Promise<void>) =>
    Deno.test(`${name}: ${what}`, async () => {
      const backend = await open();
      let now = 1000;
      await body(new ApiKeys({ backend, now: () => now++, random: randomBytes }), backend);
      backend.close();
    });

  test("a key is found by its hash until it is revoked by its id", async (keys) => {
    assert.equal(await keys.any(), false);
    const { text, record } = await keys.create("acme");
    assert.ok(isKeyText(text));
    const hash = await hashKey(text);
    assert.deepEqual(record, { id: keyId(hash), tenant: "acme", created: 1000, hash });
    assert.match(record.id, /^key_[0-9a-f]{16}$/);
    assert.deepEqual(await keys.find(hash), record);
    assert.equal(await keys.any(), true);
    assert.deepEqual(await keys.revoke(record.id), record);
    assert.equal(await keys.find(hash), null);
    assert.equal(await keys.any(), false);
    await rejects(keys.revoke(record.id), "invalid_value", /no key has this id/);
  });

  test("a tenant has several keys, which are listed by age and revoked alone", async (keys) => {
    const made = [];
    for (const tenant of ["acme", "other", "acme"]) made.push(await keys.create(tenant));
    const records = made.map(({ record }) => record);
    assert.deepEqual(await keys.list(), records);
    await keys.revoke(records[0].id);
    assert.deepEqual(await keys.list(), records.slice(1));
    assert.deepEqual(await keys.find(records[2].hash), records[2]);
  });

  test("limits come back as they were given", async (keys) => {
    const { record } = await keys.create("acme", { limits: { requestsPerMinute: 3 } });
    assert.deepEqual((await keys.find(record.hash))!.limits, { requestsPerMinute: 3 });
    assert.deepEqual((await keys.list()).map(({ limits }) => limits), [{ requestsPerMinute: 3 }]);
  });

  test("no text of a key is in the store", async (keys, backend) => {
    const { text } = await keys.create("acme");
    for await (const { key, value } of backend.list(["~"])) {
      const row = JSON.stringify(key) + new TextDecoder().decode(value);
      assert.ok(!row.includes(text) && !row.includes(text.slice(5)), row);
    }
  });

  test(
    "a row that is damaged, of a later version or of no tenant lets nobody in",
    async (keys, backend) => {
      const rows = ["{", '{"version":2,"tenant":"a"}', '{"version":1,"tenant":"~"}', "null"];
      const bounds = ["7", '{"states":"7"}', '{"states":0}', '{"bytes":-1}', '{"bytes":0.5}', "[]"]
        .map((limits) => `{"version":1,"tenant":"a","created":1,"limits":${limits}}`);
      for (const row of [...rows, ...bounds]) {
        const value = new TextEncoder().encode(row);
        await backend.atomic([], [{ type: "set", key: ["~", "key", "0".repeat(64)], value }]);
        assert.equal(await keys.find("0".repeat(64)), null, row);
        assert.deepEqual(await keys.list(), []);
      }
    },
  );

  test("what is no tenant's name has no key, and no states", async (keys, backend) => {
    const names = ["", "~", "A", "a/b", "-a", "_a", "a".repeat(64), "a b", "ä", "a\n"];
    for (const tenant of names) {
      await rejects(keys.create(tenant), "invalid_value", /tenant/);
      assert.throws(() => new StateStore(backend, { tenant }), /Cannot use tenant/);
    }
    assert.equal(await keys.any(), false);
    for (const tenant of ["a", "0", "a".repeat(63), "a-_9"]) await keys.create(tenant);
  });

  test(
    "a store's tenants are those with keys, those that were served, and the default one",
    async (keys, backend) => {
      assert.deepEqual(await listTenants(backend), ["default"]);
      const { record } = await keys.create("keyed");
      await recordTenant(backend, "served");
      await recordTenant(backend, "served");
      await recordTenant(backend, "default");
      await keys.revoke(record.id);
      assert.deepEqual(await listTenants(backend), ["default", "keyed", "served"]);
    },
  );

  test("garbage of every tenant is collected, and summed up", async (_, backend) => {
    const clock = { now: Date.now() };
    const now = () => clock.now;
    for (const tenant of ["default", "one", "two"]) {
      await recordTenant(backend, tenant);
      const store = new StateStore(backend, { tenant, now, ttl: 60_000 });
      const id = store.newId();
      await store.save(content(1, { length: 1000 }), { id, model: MODEL, parent: null });
    }
    clock.now += 3 * 24 * 3_600_000;
    assert.equal((await collectAllGarbage(backend, { now, dryRun: true })).states, 3);
    const { states, blobs } = await collectAllGarbage(backend, { now });
    assert.deepEqual([states, blobs], [3, 6]);
    assert.equal((await collectAllGarbage(backend, { now })).states, 0);
  });
}

Deno.test("a key is rwkv- and 32 bytes as base64url, whatever they are", () => {
  assert.equal(newKeyText((length) => new Uint8Array(length)), `rwkv-${"A".repeat(43)}`);
  assert.equal(newKeyText((length) => new Uint8Array(length).fill(255)), `rwkv-${"_".repeat(42)}8`);
  assert.equal(
    newKeyText((length) => Uint8Array.from({ length }, (_, i) => i * 37 + 251)),
    `rwkv-${"-yBFao-02f4jSG2St9wBJktwlbrfBClOc5i94gcsUXY"}`,
  );
  const texts = new Set(Array.from({ length: 100 }, () => newKeyText(randomBytes)));
  assert.equal(texts.size, 100);
  assert.ok([...texts].every(isKeyText));
});

Deno.test("a key's hash is SHA-256", async () => {
  const hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assert.equal(await hashKey("abc"), hash);
  assert.equal(keyId(hash), "key_ba7816bf8f01cfea");
});
