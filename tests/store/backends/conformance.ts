/** Conformance tests for backends of the state store. A new adapter must pass all of them. */

import assert from "node:assert/strict";
import { type Backend, type Entry, type Key, LIMITS } from "../../../src/store/backends/backend.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (entry: Entry | null) => entry && new TextDecoder().decode(entry.value);

async function keys(backend: Backend, prefix: Key, limit?: number): Promise<Key[]> {
  const found: Key[] = [];
  for await (const entry of backend.list(prefix, { limit })) found.push(entry.key);
  return found;
}

export interface ConformanceCase {
  title: string;
  /** Runs the case on an empty backend. */
  run: (backend: Backend) => Promise<void>;
}

export const CONFORMANCE: ConformanceCase[] = [];

/** Registers all tests, each on an empty backend. */
export function testConformance(name: string, open: () => Promise<Backend>): void {
  for (const { title, run } of CONFORMANCE) {
    Deno.test(`${name}: ${title}`, async () => {
      const backend = await open();
      try {
        await run(backend);
      } finally {
        backend.close();
      }
    });
  }
}

function test(title: string, run: ConformanceCase["run"]): void {
  CONFORMANCE.push({ title, run });
}

function set(backend: Backend, key: Key, value: Uint8Array, expireIn?: number) {
  return backend.atomic([], [{ type: "set", key, value, expireIn }]);
}

test("a value is read unchanged, alone and in a batch", async (backend) => {
  const largest = crypto.getRandomValues(new Uint8Array(backend.valueBytes));
  await set(backend, ["t", "largest"], largest);
  await set(backend, ["t", "empty"], new Uint8Array());
  await set(backend, ["t", "view"], largest.subarray(100, 105));
  assert.deepEqual((await backend.get(["t", "largest"]))?.value, largest);
  assert.deepEqual((await backend.get(["t", "view"]))?.value, largest.slice(100, 105));
  assert.equal((await backend.get(["t", "empty"]))?.value.length, 0);
  assert.equal(await backend.get(["t", "none"]), null);
  const many = await backend.getMany([["t", "none"], ["t", "view"], ["t", "empty"]]);
  assert.deepEqual(many.map((entry) => entry?.value.length), [undefined, 5, 0]);
  const wide = Array.from({ length: 25 }, (_, i) => ["t", "n", i]);
  for (const key of wide) await set(backend, key, bytes(String(key[2])));
  assert.deepEqual((await backend.getMany(wide)).map(text), wide.map((key) => String(key[2])));
});

test("values that are passed in or returned are copied", async (backend) => {
  const value = bytes("one");
  await set(backend, ["t", 1], value);
  value[0] = 0;
  (await backend.get(["t", 1]))!.value[1] = 0;
  assert.equal(text(await backend.get(["t", 1])), "one");
});

test("list is ordered and respects its prefix and limit", async (backend) => {
  for (const i of [10, 2, 1, 300, 0]) await set(backend, ["t", "blob", "a", i], bytes("x"));
  await set(backend, ["t", "blob", "a"], bytes("the prefix itself"));
  await set(backend, ["t", "blob", "ab", 1], bytes("a longer part"));
  await set(backend, ["u", "blob", "a", 1], bytes("another tenant"));
  const listed = await keys(backend, ["t", "blob", "a"]);
  assert.deepEqual(listed.map((key) => key[3]), [0, 1, 2, 10, 300]);
  assert.equal((await keys(backend, ["t", "blob"])).length, 7);
  assert.deepEqual((await keys(backend, ["t", "blob", "a"], 2)).map((key) => key[3]), [0, 1]);
  assert.deepEqual(await keys(backend, ["t", "none"]), []);
});

test("list of a range includes its start and excludes its end", async (backend) => {
  for (const i of [10, 2, 1, 300, 0]) await set(backend, ["t", "a", i], bytes("x"));
  await set(backend, ["t", "a", "2"], bytes("a string"));
  await set(backend, ["t", "a", 2, "more"], bytes("a longer key"));
  const listed = async (range: readonly [number, number], limit?: number) => {
    const entries = await Array.fromAsync(backend.list(["t", "a"], { range, limit }));
    return entries.map(({ key }) => key.slice(2).join(" "));
  };
  assert.deepEqual(await listed([1, 10]), ["1", "2", "2 more"]);
  assert.deepEqual(await listed([2, 1000]), ["2", "2 more", "10", "300"]);
  assert.deepEqual(await listed([2, 1000], 2), ["2", "2 more"]);
  assert.deepEqual(await listed([3, 10]), []);
  assert.deepEqual(await listed([0, 1]), ["0"]);
});

test("list spans several batches", async (backend) => {
  for (let i = 0; i < 250; i += 50) {
    await backend.atomic(
      [],
      Array.from({ length: 50 }, (_, j) => (
        { type: "set", key: ["t", i + j], value: bytes("x") }
      )),
    );
  }
  const listed = await keys(backend, ["t"]);
  assert.deepEqual(listed.map((key) => key[1]), Array.from({ length: 250 }, (_, i) => i));
  const part = await Array.fromAsync(backend.list(["t"], { range: [20, 240], limit: 210 }));
  assert.deepEqual(part.map(({ key }) => key[1]), Array.from({ length: 210 }, (_, i) => 20 + i));
});

test("an atomic operation writes all or nothing", async (backend) => {
  const first = await set(backend, ["t", "a"], bytes("1"));
  assert.ok(first);
  assert.equal((await backend.get(["t", "a"]))?.versionstamp, first);
  const second = await backend.atomic([{ key: ["t", "a"], versionstamp: first }], [
    { type: "set", key: ["t", "a"], value: bytes("2") },
    { type: "set", key: ["t", "b"], value: bytes("2") },
  ]);
  assert.ok(second !== null && second > first);
  const stale = await backend.atomic([{ key: ["t", "a"], versionstamp: first }], [
    { type: "delete", key: ["t", "b"] },
    { type: "set", key: ["t", "c"], value: bytes("3") },
  ]);
  assert.equal(stale, null);
  assert.equal(text(await backend.get(["t", "b"])), "2");
  assert.equal(await backend.get(["t", "c"]), null);
  const absent = { key: ["t", "c"], versionstamp: null };
  assert.ok(await backend.atomic([absent], [{ type: "delete", key: ["t", "b"] }]));
  assert.equal(await backend.get(["t", "b"]), null);
  assert.equal(
    await backend.atomic([{ key: ["t", "a"], versionstamp: null }], [
      { type: "delete", key: ["t", "a"] },
    ]),
    null,
  );
});

test("a key written again has a new versionstamp", async (backend) => {
  const first = await set(backend, ["t", "a"], bytes("1"));
  await backend.delete(["t", "a"]);
  await set(backend, ["t", "a"], bytes("1"));
  const check = { key: ["t", "a"], versionstamp: first };
  assert.equal(await backend.atomic([check], [{ type: "delete", key: ["t", "a"] }]), null);
});

test("exactly one of several concurrent checked writes succeeds", async (backend) => {
  const key = ["t", "counter"];
  await set(backend, key, bytes("0"));
  const { versionstamp } = (await backend.get(key))!;
  const results = await Promise.all(
    Array.from(
      { length: 8 },
      (_, i) =>
        backend.atomic([{ key, versionstamp }], [{ type: "set", key, value: bytes(String(i)) }]),
    ),
  );
  assert.equal(results.filter((result) => result !== null).length, 1);
});

test("an atomic operation accepts the maximum number of checks", async (backend) => {
  const absent = Array.from({ length: LIMITS.atomicChecks }, (_, i) => (
    { key: ["t", i], versionstamp: null }
  ));
  const mutation = {
    type: "set",
    key: ["t", LIMITS.atomicChecks - 1],
    value: bytes("1"),
  } as const;
  assert.ok(await backend.atomic(absent, [mutation]));
  assert.equal(await backend.atomic(absent, [mutation]), null);
});

test("an atomic operation accepts the maximum size and number of mutations", async (backend) => {
  const value = new Uint8Array(backend.valueBytes).fill(7);
  const mutations = Array.from({ length: 12 }, (_, i) => (
    { type: "set", key: ["default", "blob", "f".repeat(48), i], value } as const
  ));
  assert.ok(await backend.atomic([], mutations));
  const many = Array.from({ length: LIMITS.atomicMutations }, (_, i) => (
    { type: "delete", key: ["default", "blob", "f".repeat(48), i] } as const
  ));
  assert.ok(await backend.atomic([], many));
  assert.deepEqual(await keys(backend, ["default"]), []);
});

test("a value is readable before it expires", async (backend) => {
  await set(backend, ["t", "a"], bytes("1"), 3_600_000);
  await set(backend, ["t", "b"], bytes("1"), 0.5);
  assert.equal(text(await backend.get(["t", "a"])), "1");
});

test("deletion of a missing key does nothing", async (backend) => {
  await backend.delete(["t", "none"]);
  assert.deepEqual(await keys(backend, ["t"]), []);
});
