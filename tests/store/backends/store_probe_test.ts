import assert from "node:assert/strict";
import type { Entry } from "../../../src/store/backends/backend.ts";
import { StoreProbe } from "../../../src/store/backends/store_probe.ts";

/** Returns a store that succeeds, fails or hangs depending on `mode`, and counts its calls. */
function fakeStore() {
  const fake = {
    mode: "ok" as "ok" | "failing" | "hanging",
    calls: 0,
    now: 1000,
    get: (): Promise<Entry | null> => {
      fake.calls++;
      if (fake.mode === "ok") return Promise.resolve(null);
      if (fake.mode === "failing") return Promise.reject(new Error("no such file: /secret/path"));
      return new Promise(() => {});
    },
  };
  const changes: unknown[] = [];
  const probe = new StoreProbe(fake, {
    cacheMs: 3000,
    timeoutMs: 5,
    clock: () => fake.now,
    onChange: (error) => changes.push(error),
  });
  return { fake, probe, changes };
}

Deno.test("a store is probed at most once per interval, and concurrent probes share one call", async () => {
  const { fake, probe } = fakeStore();
  assert.equal(probe.last().status, "unknown");
  const found = await Promise.all([probe.probe(), probe.probe(), probe.probe()]);
  assert.deepEqual(found.map(({ status }) => status), Array(3).fill("reachable"));
  assert.equal(fake.calls, 1);
  fake.now += 2999;
  probe.last();
  assert.equal(fake.calls, 1);
  fake.now += 1;
  probe.last();
  await probe.probe();
  assert.equal(fake.calls, 2);
});

Deno.test("a failing store is unreachable since the first failure, and its error text is not reported", async () => {
  const { fake, probe, changes } = fakeStore();
  await probe.probe();
  fake.mode = "failing";
  fake.now = 5000;
  assert.deepEqual(await probe.probe(), {
    status: "unreachable",
    problem: "it fails",
    since: 5000,
  });
  fake.now = 9000;
  assert.equal((await probe.probe()).since, 5000);
  fake.mode = "ok";
  fake.now = 13_000;
  assert.deepEqual(await probe.probe(), { status: "reachable", problem: null, since: 13_000 });
  assert.equal(changes.length, 2);
  assert.deepEqual([changes[0] instanceof Error, changes[1]], [true, null]);
});

Deno.test("a store that hangs times out, and is not probed again until it responds", async () => {
  const { fake, probe } = fakeStore();
  fake.mode = "hanging";
  const { status, problem } = await probe.probe();
  assert.deepEqual([status, problem], ["unreachable", "it does not respond in time"]);
  fake.now += 60_000;
  await probe.probe();
  assert.equal(fake.calls, 1);
});
