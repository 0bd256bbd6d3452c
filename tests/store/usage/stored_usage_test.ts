/** The tracked storage of a tenant: counting, updates between counts, and recounting. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import type { Entry } from "../../../src/store/backends/backend.ts";
import { collectGarbage } from "../../../src/store/states/gc.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { StoredUsage } from "../../../src/store/usage/stored_usage.ts";
import { Random } from "../../support/random_data.ts";
import { content, MODEL } from "../fixtures.ts";

const SECOND = 1000;
const DAY = 24 * 3600 * SECOND;

/** A backend whose lists of states can be slow, hang or fail, and are counted. */
class ListedBackend extends MemoryBackend {
  lists = 0;
  unavailable = false;
  beforeList: () => Promise<void> | void = () => {};
  #active = 0;

  override async *list(...args: Parameters<MemoryBackend["list"]>): AsyncIterable<Entry> {
    if (args[0][1] !== "state") return yield* super.list(...args);
    this.lists++;
    this.#active++;
    try {
      if (this.unavailable) throw new InferenceError("store_unavailable", "the store is down");
      await this.beforeList();
      yield* super.list(...args);
    } finally {
      this.#active--;
    }
  }

  /** Resolves when no list is running and the results were processed. */
  async settled(): Promise<void> {
    do await new Promise((resolve) => setTimeout(resolve, 0)); while (this.#active > 0);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

function createUsage() {
  const clock = { now: 1_700_000_000_000 };
  const now = () => clock.now;
  const backend = new ListedBackend({ now });
  const usage = new StoredUsage({ backend, now, countTimeoutMs: 50 });
  const openStore = (tracked = true) =>
    new StateStore(backend, {
      tenant: "acme",
      now,
      ttl: DAY,
      ...(tracked ? { onChange: (change) => usage.changed("acme", change) } : {}),
    });
  return { clock, backend, usage, openStore };
}

async function save(store: StateStore, seed: number, length = 1_000): Promise<string> {
  const id = store.newId();
  await store.save(content(seed, { length }), { id, model: MODEL, parent: null });
  return id;
}

async function currentUsage({ usage }: { usage: StoredUsage }, tenant = "acme") {
  await usage.ready(tenant);
  return usage.of(tenant);
}

/** Returns the result of a new tracker, which has to count. */
async function recount({ backend, clock }: ReturnType<typeof createUsage>) {
  const usage = new StoredUsage({ backend, now: () => clock.now });
  return await currentUsage({ usage });
}

Deno.test("idempotency records count until they expire, including damaged ones", async () => {
  const world = createUsage();
  const { idempotencyRecords } = world.openStore();
  const claim = await idempotencyRecords.claim({ key: "k", route: "POST /x", body: "{}" });
  assert.ok(!(claim instanceof Uint8Array));
  await claim.complete(new Uint8Array(100_000));
  const { bytes, states } = await currentUsage(world);
  assert.equal(states, 0);
  assert.ok(bytes > 100_000 && bytes < 100_500, `${bytes}`);
  await world.backend.atomic([], [{
    type: "set",
    key: ["acme", "idempotency", "x"],
    value: new Uint8Array(7),
  }]);
  assert.equal((await recount(world)).bytes, bytes + 7);
  world.clock.now += DAY;
  assert.equal((await recount(world)).bytes, 7);
});

Deno.test("the first use counts states and bytes, and later writes are added", async () => {
  const world = createUsage();
  const own = world.openStore();
  await save(own, 1);
  const first = await currentUsage(world);
  assert.deepEqual([first.states, first.conversations], [1, 0]);
  assert.ok(first.bytes > 1_000 && first.bytes < 1_100, String(first.bytes));
  const id = await save(own, 2, 5_000);
  const second = await currentUsage(world);
  assert.equal(second.states, 2);
  assert.ok(second.bytes - first.bytes > 5_000);
  await own.delete(id);
  assert.deepEqual(await currentUsage(world), first);
  assert.equal(world.backend.lists, 1);
  assert.deepEqual(await currentUsage(world, "other"), { states: 0, bytes: 0, conversations: 0 });
});

Deno.test("a recount finds the writes and deletions of other workers", async () => {
  const world = createUsage();
  const other = world.openStore(false);
  const ids = [await save(other, 1), await save(other, 2)];
  assert.equal((await currentUsage(world)).states, 2);
  await save(other, 3);
  await other.delete(ids[0]);
  await other.delete(ids[1]);
  await other.conversations.create({ metadata: { a: "b" } });
  world.clock.now += 5 * SECOND;
  await currentUsage(world);
  await world.backend.settled();
  const { states, conversations } = await currentUsage(world);
  assert.deepEqual([states, conversations], [1, 1]);
});

Deno.test("expired states do not count, before and after garbage collection", async () => {
  const world = createUsage();
  const own = world.openStore();
  for (let seed = 1; seed <= 3; seed++) await save(own, seed);
  assert.equal((await currentUsage(world)).states, 3);
  world.clock.now += DAY + SECOND;
  await currentUsage(world);
  await world.backend.settled();
  assert.equal((await currentUsage(world)).states, 0);
  await collectGarbage(world.backend, { tenant: "acme", now: () => world.clock.now, olderThan: 0 });
  assert.deepEqual(await currentUsage(world), { states: 0, bytes: 0, conversations: 0 });
});

Deno.test("a slower count is cached for longer", async () => {
  const world = createUsage();
  world.backend.beforeList = () => void (world.clock.now += 2 * SECOND);
  for (let i = 0; i < 100; i++) {
    await currentUsage(world);
    world.clock.now += SECOND;
  }
  // A count takes 2 s and is therefore cached for 40 s.
  assert.ok(world.backend.lists <= 3, String(world.backend.lists));
});

Deno.test("a request does not wait for a store that hangs or fail with one that is down", async () => {
  const world = createUsage();
  const hung = Promise.withResolvers<void>();
  world.backend.beforeList = () => hung.promise;
  assert.equal((await currentUsage(world)).states, 0);
  await save(world.openStore(), 1);
  world.clock.now += 60 * SECOND;
  const start = performance.now();
  for (let i = 0; i < 100; i++) await currentUsage(world);
  assert.equal((await currentUsage(world)).states, 1);
  // Only the first request waited.
  assert.ok(performance.now() - start < 40);
  hung.resolve();
  await world.backend.settled();
  assert.equal((await currentUsage(world)).states, 1);
  world.backend.unavailable = true;
  world.clock.now += 60 * SECOND;
  assert.equal((await currentUsage(world)).states, 1);
  await world.backend.settled();
  assert.equal((await currentUsage(world)).states, 1);
});

Deno.test("a reservation counts until its first release", async () => {
  const world = createUsage();
  const release = world.usage.reserve("acme", 2, 500);
  assert.deepEqual(await currentUsage(world), { states: 2, bytes: 500, conversations: 0 });
  release();
  release();
  assert.deepEqual(await currentUsage(world), { states: 0, bytes: 0, conversations: 0 });
});

for (const seed of [1, 2, 3, 4, 5, 6]) {
  Deno.test(`changes during a count are counted once, seed ${seed}`, async () => {
    const world = createUsage();
    const own = world.openStore();
    const random = new Random(seed);
    const ids: string[] = [];
    const change = async () => {
      const kind = random.below(4);
      if (kind === 0 && ids.length > 0) {
        await own.delete(ids.splice(random.below(ids.length), 1)[0]);
      } else if (kind === 1) {
        const id = own.newId();
        const turn = new Uint8Array(random.below(500));
        const begun = await own.begin(null, turn, { id, model: MODEL });
        if (random.chance(0.7)) await own.commit(begun!, content(random.below(99), { length: 99 }));
        ids.push(id);
      } else {
        ids.push(await save(own, random.below(99), random.below(3_000)));
      }
    };
    await currentUsage(world);
    for (let round = 0; round < 10; round++) {
      world.backend.beforeList = async () => {
        for (let i = random.below(4); i > 0; i--) await change();
      };
      world.clock.now += 10 * SECOND;
      const counting = currentUsage(world);
      for (let i = random.below(4); i > 0; i--) await change();
      await counting;
      await world.backend.settled();
      world.backend.beforeList = () => {};
      assert.deepEqual(await currentUsage(world), await recount(world), `round ${round}`);
    }
    assert.ok(world.backend.lists > 10);
  });
}
