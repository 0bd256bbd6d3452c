/** Conformance tests of both backends, and tests specific to Deno KV. */

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

Deno.test("memory: an expired value is not returned", async () => {
  let now = 1000;
  const backend = new MemoryBackend({ now: () => now });
  await backend.atomic([], [{ type: "set", key: ["t", 1], value: new Uint8Array(1), expireIn: 5 }]);
  now = 1004;
  assert.ok(await backend.get(["t", 1]));
  now = 1005;
  assert.equal(await backend.get(["t", 1]), null);
});

Deno.test("deno kv: users of a file share one handle, which the last one closes", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/kv.sqlite`;
    const one = await DenoKvBackend.open(path);
    const two = await DenoKvBackend.open(path);
    // Two separate handles would make each other fail with "database is locked".
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

Deno.test("deno kv: the error of a store that cannot be opened contains its path", async () => {
  await assert.rejects(
    DenoKvBackend.open("/nowhere/at/all/kv.sqlite"),
    (error) =>
      error instanceof InferenceError && error.code === "store_unavailable" &&
      error.message.includes('"/nowhere/at/all/kv.sqlite"'),
  );
});

slowTest(
  "deno kv: a write waits for another process's lock longer than SQLite does",
  async () => {
    await withTempFolder(async (folder) => {
      const path = `${folder}/kv.sqlite`;
      const retried = Promise.withResolvers<void>();
      const random = () => (retried.resolve(), 0.5);
      const backend = await DenoKvBackend.open(path, { random, timeout: 60_000 });
      const other = new DatabaseSync(path);
      other.exec("BEGIN IMMEDIATE");
      const written = backend.atomic([], [SMALL]);
      // After about five seconds SQLite reports that the database is locked. Sometimes Deno's client
      // does not pass this on and waits itself.
      const timer = setTimeout(retried.resolve, 10_000);
      await retried.promise;
      clearTimeout(timer);
      other.exec("COMMIT");
      other.close();
      assert.ok(await written);
      backend.close();
    });
  },
);

Deno.test("deno kv: a lock that exceeds the timeout fails a write, and later writes succeed", async () => {
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
    const reopened = await DenoKvBackend.open(path);
    assert.ok(await reopened.atomic([], [SMALL]));
    reopened.close();
    backend.close();
  });
});
