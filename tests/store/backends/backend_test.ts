/** Both backends against the conformance tests, and what is special to Deno KV. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { InferenceError } from "../../../src/core/errors.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { slowTest } from "../../support/quick.ts";
import { testConformance } from "./conformance.ts";
import { withTempFolder } from "../fixtures.ts";

const SMALL = { type: "set", key: ["t", 1], value: new Uint8Array(1) } as const;

testConformance("memory", () => Promise.resolve(new MemoryBackend()));
testConformance("deno kv", () => DenoKvBackend.open(":memory:"));

Deno.test("memory: an expired value is gone", async () => {
  let now = 1000;
  const backend = new MemoryBackend({ now: () => now });
  await backend.atomic([], [{ type: "set", key: ["t", 1], value: new Uint8Array(1), expireIn: 5 }]);
  now = 1004;
  assert.ok(await backend.get(["t", 1]));
  now = 1005;
  assert.equal(await backend.get(["t", 1]), null);
});

Deno.test("deno kv: one handle a file, closed with its last user", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/kv.sqlite`;
    const one = await DenoKvBackend.open(path);
    const two = await DenoKvBackend.open(path);
    // Two handles of their own would fail each other with "database is locked".
    await Promise.all(Array.from({ length: 40 }, (_, i) =>
      (i % 2 === 0 ? one : two).atomic([], [
        { type: "set", key: ["t", i], value: new Uint8Array(60_000) },
      ])));
    one.close();
    one.close();
    assert.equal((await two.getMany([["t", 0], ["t", 39]])).filter(Boolean).length, 2);
    two.close();
    const again = await DenoKvBackend.open(path);
    assert.ok(await again.get(["t", 1]));
    again.close();
  });
});

Deno.test("deno kv: a store that cannot be opened says which", async () => {
  await assert.rejects(
    DenoKvBackend.open("/nowhere/at/all/kv.sqlite"),
    (error) =>
      error instanceof InferenceError && error.code === "store_unavailable" &&
      error.message.includes('"/nowhere/at/all/kv.sqlite"'),
  );
});

slowTest(
  "deno kv: another process's lock is waited out, longer than the database does",
  async () => {
    await withTempFolder(async (folder) => {
      const path = `${folder}/kv.sqlite`;
      const told = Promise.withResolvers<void>();
      const random = () => (told.resolve(), 0.5);
      const backend = await DenoKvBackend.open(path, { random, timeout: 60_000 });
      const other = new DatabaseSync(path);
      other.exec("BEGIN IMMEDIATE");
      const written = backend.atomic([], [SMALL]);
      // After some five seconds SQLite says that the database is locked; now and then Deno's client
      // does not pass that on, and waits by itself.
      const timer = setTimeout(told.resolve, 10_000);
      await told.promise;
      clearTimeout(timer);
      other.exec("COMMIT");
      other.close();
      assert.ok(await written);
      backend.close();
    });
  },
);

Deno.test("deno kv: a lock that lasts too long is told, and then forgotten", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/kv.sqlite`;
    const backend = await DenoKvBackend.open(path, { timeout: 300 });
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    await assert.rejects(
      backend.atomic([], [SMALL]),
      (error) =>
        error instanceof InferenceError && error.code === "store_unavailable" &&
        error.message.endsWith(
          "has not responded for 0.3 s; check which other process writes to the file",
        ),
    );
    other.exec("COMMIT");
    other.close();
    const patient = await DenoKvBackend.open(path);
    assert.ok(await patient.atomic([], [SMALL]));
    patient.close();
    backend.close();
  });
});
