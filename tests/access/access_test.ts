/** When a worker is open, whom it admits, and what it does while nobody can be asked. */

import assert from "node:assert/strict";
import { KeyAuth, type KeylessAccess } from "../../src/access/key_auth.ts";
import { CACHE_MS, KeyLookup, OUTAGE_MS } from "../../src/access/key_lookup.ts";
import type { KeySource } from "../../src/access/key_source.ts";
import { hasToken } from "../../src/access/metrics_token.ts";
import { InferenceError } from "../../src/core/errors.ts";
import { hashKey } from "../../src/store/keys/api_key_text.ts";
import { rejects } from "../session/fixtures.ts";

const SECOND = 1000;

/** A store of keys that can be down, and can hang. */
class FakeSource implements KeySource {
  readonly tenants = new Map<string, string>();
  down = false;
  hangs: Promise<void> | null = null;
  asked = 0;

  async add(text: string, tenant: string): Promise<void> {
    this.tenants.set(await hashKey(text), tenant);
  }

  async find(hash: string) {
    await this.#answer();
    const tenant = this.tenants.get(hash);
    return tenant === undefined ? null : { tenant };
  }

  async any() {
    await this.#answer();
    return this.tenants.size > 0;
  }

  async #answer(): Promise<void> {
    this.asked++;
    await this.hangs;
    if (this.down) throw new InferenceError("store_unavailable", "http://secret-place is down");
  }
}

function lookupOf(options: { maxEntries?: number; confirmTimeoutMs?: number } = {}) {
  const clock = { now: 0 };
  const source = new FakeSource();
  const lookup = new KeyLookup({ sources: [source], now: () => clock.now, ...options });
  return { clock, source, lookup };
}

function accessOf(openness: KeylessAccess, patience = 20) {
  const clock = { now: 0 };
  const source = new FakeSource();
  const access = new KeyAuth({
    sources: [source],
    keylessAccess: openness,
    now: () => clock.now,
    confirmTimeoutMs: patience,
  });
  return { clock, source, access };
}

Deno.test("an answer counts for its life, and a revoked key no longer", async () => {
  const { clock, source, lookup } = lookupOf();
  await source.add("one", "acme");
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  source.tenants.clear();
  clock.now = CACHE_MS - 1;
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  assert.equal(source.asked, 1);
  clock.now = CACHE_MS;
  assert.equal(await lookup.find("one"), null);
  assert.ok(CACHE_MS <= 10 * SECOND);
});

Deno.test("an unknown key is asked for once in a life, then it may be known", async () => {
  const { clock, source, lookup } = lookupOf();
  for (let i = 0; i < 5; i++) assert.equal(await lookup.find("one"), null);
  assert.equal(source.asked, 1);
  await source.add("one", "acme");
  clock.now = CACHE_MS;
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
});

Deno.test("many requests with one key are one question", async () => {
  const { source, lookup } = lookupOf();
  await source.add("one", "acme");
  const found = await Promise.all(Array.from({ length: 20 }, () => lookup.find("one")));
  assert.ok(found.every((caller) => caller?.tenant === "acme"));
  assert.equal(source.asked, 1);
});

Deno.test("unknown keys fill no memory, and drive no known one out", async () => {
  const { source, lookup } = lookupOf({ maxEntries: 10 });
  await source.add("one", "acme");
  await lookup.find("one");
  for (let i = 0; i < 100; i++) await lookup.find(`try ${i}`);
  assert.equal(lookup.size, 11);
  const before = source.asked;
  await lookup.find("one");
  assert.equal(source.asked, before);
});

Deno.test("while nobody can be asked known keys go on for a time, unknown ones get 503", async () => {
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
  // Nothing of where keys are.
  await rejects(lookup.find("one"), "store_unavailable", /^Cannot check((?!secret-place).)*$/);
  source.down = false;
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  assert.equal(await lookup.find("other"), null);
});

Deno.test("a known key does not wait for a place that hangs, nor asks it again and again", async () => {
  const { clock, source, lookup } = lookupOf({ confirmTimeoutMs: 5 });
  await source.add("one", "acme");
  await lookup.find("one");
  const { promise, resolve } = Promise.withResolvers<void>();
  source.hangs = promise;
  clock.now = CACHE_MS;
  for (let i = 0; i < 5; i++) assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  assert.equal(source.asked, 2);
  // Its answer counts when it comes.
  source.tenants.clear();
  source.hangs = null;
  resolve();
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(await lookup.find("one"), null);
});

Deno.test("a key of one place works while another one is down", async () => {
  const [up, down] = [new FakeSource(), new FakeSource()];
  await up.add("one", "acme");
  down.down = true;
  const lookup = new KeyLookup({ sources: [down, up], now: () => 0 });
  assert.deepEqual(await lookup.find("one"), { tenant: "acme" });
  await rejects(lookup.find("other"), "store_unavailable");
});

Deno.test("places are asked in their order: the first that knows a key decides, and nobody waits for the rest", async () => {
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

Deno.test("a worker without keys is open until there is one, within the life of an answer", async () => {
  const { clock, source, access } = accessOf("no-keys");
  assert.deepEqual(await access.authenticate(undefined), { tenant: "default" });
  assert.deepEqual(await access.authenticate("Bearer whatever"), { tenant: "default" });
  await source.add("one", "acme");
  clock.now = CACHE_MS;
  await rejects(access.authenticate(undefined), "invalid_api_key");
  assert.equal(await access.keysRequired(), true);
  assert.deepEqual(await access.authenticate("Bearer one"), { tenant: "acme" });
});

Deno.test("a worker that has closed does not open when the last key is revoked", async () => {
  const { clock, source, access } = accessOf("no-keys");
  await source.add("one", "acme");
  assert.deepEqual(await access.authenticate("Bearer one"), { tenant: "acme" });
  source.tenants.clear();
  clock.now = 10 * CACHE_MS;
  await rejects(access.authenticate("Bearer one"), "invalid_api_key");
  await rejects(access.authenticate(undefined), "invalid_api_key");
});

Deno.test("a worker that must not be open is not, keys or none, store up or down", async () => {
  const { source, access } = accessOf("never");
  await rejects(access.authenticate(undefined), "invalid_api_key");
  await rejects(access.authenticate("Bearer one"), "invalid_api_key");
  source.down = true;
  await rejects(access.authenticate(undefined), "invalid_api_key");
  await rejects(access.authenticate("Bearer two"), "store_unavailable");
});

Deno.test("while it is not known whether there are keys, only who said so is open", async () => {
  const unsure = accessOf("no-keys");
  unsure.source.down = true;
  await rejects(unsure.access.authenticate(undefined), "store_unavailable", /secret-place/);
  unsure.source.down = false;
  assert.deepEqual(await unsure.access.authenticate(undefined), { tenant: "default" });
  // What was known stays while the store is away.
  unsure.source.down = true;
  unsure.clock.now = 10 * CACHE_MS;
  assert.deepEqual(await unsure.access.authenticate(undefined), { tenant: "default" });

  const told = accessOf("no-known-keys");
  told.source.down = true;
  assert.deepEqual(await told.access.authenticate(undefined), { tenant: "default" });
  told.source.down = false;
  await told.source.add("one", "acme");
  told.clock.now = CACHE_MS;
  await rejects(told.access.authenticate(undefined), "invalid_api_key");
});

Deno.test("an open worker does not wait for a store that hangs", async () => {
  const { clock, source, access } = accessOf("no-keys", 5);
  await access.authenticate(undefined);
  source.hangs = new Promise(() => {});
  clock.now = CACHE_MS;
  assert.deepEqual(await access.authenticate(undefined), { tenant: "default" });
});

Deno.test("a key comes as a bearer token, and in no other way", async () => {
  const { source, access } = accessOf("no-keys");
  await source.add("one", "acme");
  for (const header of ["Bearer one", "bearer one", "BEARER  one "]) {
    assert.deepEqual(await access.authenticate(header), { tenant: "acme" }, header);
  }
  for (const header of ["one", "Basic one", "Bearer", "Bearer ", "Bearer one two", "Bearer One"]) {
    await rejects(access.authenticate(header), "invalid_api_key");
  }
});

Deno.test("no key, an unknown and a revoked one are told the same", async () => {
  const { clock, source, access } = accessOf("no-keys");
  await source.add("one", "acme");
  await source.add("two", "acme");
  await access.authenticate("Bearer one");
  source.tenants.delete(await hashKey("one"));
  clock.now = CACHE_MS;
  const told = async (header?: string) => {
    const error = await access.authenticate(header).then(() => null, (error) => error);
    return { ...error, message: error.message };
  };
  assert.deepEqual(await told("Bearer one"), await told("Bearer never"));
  assert.deepEqual(await told("Bearer one"), await told());
});

Deno.test("a token is taken as a whole", async () => {
  assert.equal(await hasToken("Bearer token", "token"), true);
  for (const header of [undefined, "", "token", "Bearer", "Bearer toke", "Bearer token2"]) {
    assert.equal(await hasToken(header, "token"), false, `${header}`);
  }
});
