/** Authentication: keyless access, accepted keys, and behavior while the key store is unavailable. */

import assert from "node:assert/strict";
import { KeyAuth, type KeylessAccess } from "../../src/access/key_auth.ts";
import { CACHE_MS, KeyLookup, OUTAGE_MS } from "../../src/access/key_lookup.ts";
import type { KeySource } from "../../src/access/key_source.ts";
import { hasToken } from "../../src/access/metrics_token.ts";
import { InferenceError } from "../../src/core/errors.ts";
import { hashKey } from "../../src/store/keys/api_key_text.ts";
import { rejects } from "../session/fixtures.ts";

const SECOND = 1000;

/** A key source that can fail or hang, and counts its calls. */
class FakeSource implements KeySource {
  readonly tenants = new Map<string, string>();
  down = false;
  hangs: Promise<void> | null = null;
  calls = 0;

  async add(text: string, tenant: string): Promise<void> {
    this.tenants.set(await hashKey(text), tenant);
  }

  async find(hash: string) {
    await this.#respond();
    const tenant = this.tenants.get(hash);
    return tenant === undefined ? null : { tenant };
  }

  async any() {
    await this.#respond();
    return this.tenants.size > 0;
  }

  async #respond(): Promise<void> {
    this.calls++;
    await this.hangs;
    if (this.down) throw new InferenceError("store_unavailable", "http://secret-host is down");
  }
}

function lookupOf(options: { maxEntries?: number; confirmTimeoutMs?: number } = {}) {
  const clock = { now: 0 };
  const source = new FakeSource();
  const lookup = new KeyLookup({ sources: [source], now: () => clock.now, ...options });
  return { clock, source, lookup };
}

function accessOf(keylessAccess: KeylessAccess, confirmTimeoutMs = 20) {
  const clock = { now: 0 };
  const source = new FakeSource();
  const access = new KeyAuth({
    sources: [source],
    keylessAccess,
    now: () => clock.now,
    confirmTimeoutMs,
  });
  return { clock, source, access };
}

Deno.test("a lookup is cached for CACHE_MS, after which a revoked key is rejected", async () => {
  const { clock, source, lookup } = lookupOf();
  await source.add("one", "acme");
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  source.tenants.clear();
  clock.now = CACHE_MS - 1;
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  assert.equal(source.calls, 1);
  clock.now = CACHE_MS;
  assert.equal(await lookup.find("one"), null);
  assert.ok(CACHE_MS <= 10 * SECOND);
});

Deno.test("an unknown key is cached as unknown for CACHE_MS, then looked up again", async () => {
  const { clock, source, lookup } = lookupOf();
  for (let i = 0; i < 5; i++) assert.equal(await lookup.find("one"), null);
  assert.equal(source.calls, 1);
  await source.add("one", "acme");
  clock.now = CACHE_MS;
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
});

Deno.test("concurrent lookups of one key share one call", async () => {
  const { source, lookup } = lookupOf();
  await source.add("one", "acme");
  const found = await Promise.all(Array.from({ length: 20 }, () => lookup.find("one")));
  assert.ok(found.every((caller) => caller?.tenant === "acme"));
  assert.equal(source.calls, 1);
});

Deno.test("unknown keys do not grow the cache or evict known keys", async () => {
  const { source, lookup } = lookupOf({ maxEntries: 10 });
  await source.add("one", "acme");
  await lookup.find("one");
  for (let i = 0; i < 100; i++) await lookup.find(`try ${i}`);
  assert.equal(lookup.size, 11);
  const before = source.calls;
  await lookup.find("one");
  assert.equal(source.calls, before);
});

Deno.test("during an outage known keys stay valid for OUTAGE_MS and unknown keys get 503", async () => {
  const { clock, source, lookup } = lookupOf();
  await source.add("one", "acme");
  await lookup.find("one");
  source.down = true;
  for (const at of [CACHE_MS, 60 * SECOND, OUTAGE_MS - 1]) {
    clock.now = at;
    assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
    await rejects(lookup.find("other"), "store_unavailable", /^Cannot check the API key/);
  }
  clock.now = OUTAGE_MS;
  // The message does not reveal where keys are stored.
  await rejects(lookup.find("one"), "store_unavailable", /^Cannot check((?!secret-host).)*$/);
  source.down = false;
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  assert.equal(await lookup.find("other"), null);
});

Deno.test("a known key does not wait for a source that hangs, and starts one lookup only", async () => {
  const { clock, source, lookup } = lookupOf({ confirmTimeoutMs: 5 });
  await source.add("one", "acme");
  await lookup.find("one");
  const { promise, resolve } = Promise.withResolvers<void>();
  source.hangs = promise;
  clock.now = CACHE_MS;
  for (let i = 0; i < 5; i++) assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  assert.equal(source.calls, 2);
  // The late result is used when it arrives.
  source.tenants.clear();
  source.hangs = null;
  resolve();
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(await lookup.find("one"), null);
});

Deno.test("a key from one source works while another source is down", async () => {
  const [up, down] = [new FakeSource(), new FakeSource()];
  await up.add("one", "acme");
  down.down = true;
  const lookup = new KeyLookup({ sources: [down, up], now: () => 0 });
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  await rejects(lookup.find("other"), "store_unavailable");
});

Deno.test("the first source that knows a key decides, and later sources are not awaited", async () => {
  const [first, second] = [new FakeSource(), new FakeSource()];
  await first.add("one", "acme");
  await second.add("one", "other");
  await second.add("two", "other");
  const sources = [first, second];
  const lookup = new KeyLookup({ sources, now: () => 0 });
  const access = new KeyAuth({ sources, keylessAccess: "no-keys", now: () => 0 });
  assert.deepEqual(await lookup.find("two"), { tenant: "other" });
  second.hangs = new Promise(() => {});
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  assert.equal(await access.keysRequired(), true);
});

Deno.test("a worker without keys accepts all requests until a key exists, within CACHE_MS", async () => {
  const { clock, source, access } = accessOf("no-keys");
  assert.deepEqual(await access.authenticate(undefined), { tenant: "default" });
  assert.deepEqual(await access.authenticate("Bearer whatever"), { tenant: "default" });
  await source.add("one", "acme");
  clock.now = CACHE_MS;
  await rejects(access.authenticate(undefined), "invalid_api_key");
  assert.equal(await access.keysRequired(), true);
  assert.deepEqual(await access.authenticate("Bearer one"), { tenant: "acme" });
});

Deno.test("a worker that required keys still requires them after the last key is revoked", async () => {
  const { clock, source, access } = accessOf("no-keys");
  await source.add("one", "acme");
  assert.deepEqual(await access.authenticate("Bearer one"), { tenant: "acme" });
  source.tenants.clear();
  clock.now = 10 * CACHE_MS;
  await rejects(access.authenticate("Bearer one"), "invalid_api_key");
  await rejects(access.authenticate(undefined), "invalid_api_key");
});

Deno.test('keyless access "never" rejects requests without a key in every store state', async () => {
  const { source, access } = accessOf("never");
  await rejects(access.authenticate(undefined), "invalid_api_key");
  await rejects(access.authenticate("Bearer one"), "invalid_api_key");
  source.down = true;
  await rejects(access.authenticate(undefined), "invalid_api_key");
  await rejects(access.authenticate("Bearer two"), "store_unavailable");
});

Deno.test('while it is unknown whether keys exist, only "no-known-keys" accepts keyless requests', async () => {
  const strict = accessOf("no-keys");
  strict.source.down = true;
  await rejects(strict.access.authenticate(undefined), "store_unavailable", /secret-host/);
  strict.source.down = false;
  assert.deepEqual(await strict.access.authenticate(undefined), { tenant: "default" });
  // The last result stays in use while the store is unavailable.
  strict.source.down = true;
  strict.clock.now = 10 * CACHE_MS;
  assert.deepEqual(await strict.access.authenticate(undefined), { tenant: "default" });

  const lenient = accessOf("no-known-keys");
  lenient.source.down = true;
  assert.deepEqual(await lenient.access.authenticate(undefined), { tenant: "default" });
  lenient.source.down = false;
  await lenient.source.add("one", "acme");
  lenient.clock.now = CACHE_MS;
  await rejects(lenient.access.authenticate(undefined), "invalid_api_key");
});

Deno.test("a worker without keys does not wait for a store that hangs", async () => {
  const { clock, source, access } = accessOf("no-keys", 5);
  await access.authenticate(undefined);
  source.hangs = new Promise(() => {});
  clock.now = CACHE_MS;
  assert.deepEqual(await access.authenticate(undefined), { tenant: "default" });
});

Deno.test("a key is accepted only as a bearer token", async () => {
  const { source, access } = accessOf("no-keys");
  await source.add("one", "acme");
  for (const header of ["Bearer one", "bearer one", "BEARER  one "]) {
    assert.deepEqual(await access.authenticate(header), { tenant: "acme" }, header);
  }
  for (const header of ["one", "Basic one", "Bearer", "Bearer ", "Bearer one two", "Bearer One"]) {
    await rejects(access.authenticate(header), "invalid_api_key");
  }
});

Deno.test("missing, unknown and revoked keys get the same error", async () => {
  const { clock, source, access } = accessOf("no-keys");
  await source.add("one", "acme");
  await source.add("two", "acme");
  await access.authenticate("Bearer one");
  source.tenants.delete(await hashKey("one"));
  clock.now = CACHE_MS;
  const errorFor = async (header?: string) => {
    const error = await access.authenticate(header).then(() => null, (error) => error);
    return { ...error, message: error.message };
  };
  assert.deepEqual(await errorFor("Bearer one"), await errorFor("Bearer never"));
  assert.deepEqual(await errorFor("Bearer one"), await errorFor());
});

Deno.test("a token matches only as a whole", async () => {
  assert.equal(await hasToken("Bearer token", "token"), true);
  for (const header of [undefined, "", "token", "Bearer", "Bearer toke", "Bearer token2"]) {
    assert.equal(await hasToken(header, "token"), false, `${header}`);
  }
});
