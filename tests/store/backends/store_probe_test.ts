import assert from "node:assert/strict";
import type { Entry } from "../../../src/store/backends/backend.ts";
import { StoreProbe } from "../../../src/store/backends/store_probe.ts";

/** A store that answers, fails or hangs, as told, and counts how often it is asked. */
function fakeStore() {
  const fake = {
    mode: "well" as "well" | "broken" | "silent",
    asked: 0,
    now: 1000,
    get: (): Promise<Entry | null> => {
      fake.asked++;
      if (fake.mode === "well") return Promise.resolve(null);
      if (fake.mode === "broken") return Promise.reject(new Error("no such file: /secret/path"));
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

Deno.test("a store is asked every few seconds at most, however often somebody wants to know", async () => {
  const { fake, probe } = fakeStore();
  assert.equal(probe.last().status, "unknown");
  const found = await Promise.all([probe.probe(), probe.probe(), probe.probe()]);
  assert.deepEqual(found.map(({ status }) => status), Array(3).fill("reachable"));
  assert.equal(fake.asked, 1);
  fake.now += 2999;
  probe.last();
  assert.equal(fake.asked, 1);
  fake.now += 1;
  probe.last();
  await probe.probe();
  assert.equal(fake.asked, 2);
});

Deno.test("a store that fails is unreachable since it was found so, and its error's text is not told", async () => {
  const { fake, probe, changes } = fakeStore();
  await probe.probe();
  fake.mode = "broken";
  fake.now = 5000;
  assert.deepEqual(await probe.probe(), {
    status: "unreachable",
    problem: "it fails",
    since: 5000,
  });
  fake.now = 9000;
  assert.equal((await probe.probe()).since, 5000);
  fake.mode = "well";
  fake.now = 13_000;
  assert.deepEqual(await probe.probe(), { status: "reachable", problem: null, since: 13_000 });
  assert.equal(changes.length, 2);
  assert.deepEqual([changes[0] instanceof Error, changes[1]], [true, null]);
});

Deno.test("a store that hangs is not waited for, nor asked again while it has not answered", async () => {
  const { fake, probe } = fakeStore();
  fake.mode = "silent";
  const { status, problem } = await probe.probe();
  assert.deepEqual([status, problem], ["unreachable", "it does not respond in time"]);
  fake.now += 60_000;
  await probe.probe();
  assert.equal(fake.asked, 1);
});
