/** What a tenant is taken to have stored: counted, kept up to date, and found anew by counting. */

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

/** A store whose lists can be slow, hang or fail, and are counted. */
class ListedBackend extends MemoryBackend {
  lists = 0;
  lost = false;
  before: () => Promise<void> | void = () => {};
  #active = 0;

  override async *list(...args: Parameters<MemoryBackend["list"]>): AsyncIterable<Entry> {
    if (args[0][1] !== "state") return yield* super.list(...args);
    this.lists++;
    this.#active++;
    try {
      if (this.lost) throw new InferenceError("store_unavailable", "it is away");
      await this.before();
      yield* super.list(...args);
    } finally {
      this.#active--;
    }
  }

  /** Resolves when nobody lists any more, and has done with what was listed. */
  async settled(): Promise<void> {
    do await new Promise((resolve) => setTimeout(resolve, 0)); while (this.#active > 0);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

function usageOf() {
  const clock = { now: 1_700_000_000_000 };
  const now = () => clock.now;
  const backend = new ListedBackend({ now });
  const usage = new StoredUsage({ backend, now, countTimeoutMs: 50 });
  const storeOf = (watched = true) =>
    new StateStore(backend, {
      tenant: "acme",
      now,
      ttl: DAY,
      ...(watched ? { onChange: (change) => usage.changed("acme", change) } : {}),
    });
  return { clock, backend, usage, storeOf };
}

async function save(store: StateStore, seed: number, length = 1_000): Promise<string> {
  const id = store.newId();
  await store.save(content(seed, { length }), { id, model: MODEL, parent: null });
  return id;
}

async function amountOf({ usage }: { usage: StoredUsage }, tenant = "acme") {
  await usage.ready(tenant);
  return usage.of(tenant);
}

/** What there is, counted by somebody who knows nothing. */
async function counted({ backend, clock }: ReturnType<typeof usageOf>) {
  const usage = new StoredUsage({ backend, now: () => clock.now });
  return await amountOf({ usage });
}

Deno.test("answers that are kept to be given again count until they run out, damaged ones included", async () => {
  const it = usageOf();
  const { idempotencyRecords: answers } = it.storeOf();
  const claim = await answers.claim({ key: "k", route: "POST /x", body: "{}" });
  assert.ok(!(claim instanceof Uint8Array));
  await claim.complete(new Uint8Array(100_000));
  const { bytes, states } = await amountOf(it);
  assert.equal(states, 0);
  assert.ok(bytes > 100_000 && bytes < 100_500, `${bytes}`);
  await it.backend.atomic([], [{
    type: "set",
    key: ["acme", "idempotency", "x"],
    value: new Uint8Array(7),
  }]);
  assert.equal((await counted(it)).bytes, bytes + 7);
  it.clock.now += DAY;
  assert.equal((await counted(it)).bytes, 7);
});

Deno.test("states and their bytes are counted at once, and what is stored later is added", async () => {
  const it = usageOf();
  const own = it.storeOf();
  await save(own, 1);
  const first = await amountOf(it);
  assert.deepEqual([first.states, first.conversations], [1, 0]);
  assert.ok(first.bytes > 1_000 && first.bytes < 1_100, String(first.bytes));
  const id = await save(own, 2, 5_000);
  const second = await amountOf(it);
  assert.equal(second.states, 2);
  assert.ok(second.bytes - first.bytes > 5_000);
  await own.delete(id);
  assert.deepEqual(await amountOf(it), first);
  assert.equal(it.backend.lists, 1);
  assert.deepEqual(await amountOf(it, "other"), { states: 0, bytes: 0, conversations: 0 });
});

Deno.test("what other workers store and remove is seen when it is counted anew", async () => {
  const it = usageOf();
  const other = it.storeOf(false);
  const ids = [await save(other, 1), await save(other, 2)];
  assert.equal((await amountOf(it)).states, 2);
  await save(other, 3);
  await other.delete(ids[0]);
  await other.delete(ids[1]);
  await other.conversations.create({ metadata: { a: "b" } });
  it.clock.now += 5 * SECOND;
  await amountOf(it);
  await it.backend.settled();
  const { states, conversations } = await amountOf(it);
  assert.deepEqual([states, conversations], [1, 1]);
});

Deno.test("states that have expired do not count, collected or not", async () => {
  const it = usageOf();
  const own = it.storeOf();
  for (let seed = 1; seed <= 3; seed++) await save(own, seed);
  assert.equal((await amountOf(it)).states, 3);
  it.clock.now += DAY + SECOND;
  await amountOf(it);
  await it.backend.settled();
  assert.equal((await amountOf(it)).states, 0);
  await collectGarbage(it.backend, { tenant: "acme", now: () => it.clock.now, olderThan: 0 });
  assert.deepEqual(await amountOf(it), { states: 0, bytes: 0, conversations: 0 });
});

Deno.test("a count is held so much longer as it takes longer", async () => {
  const it = usageOf();
  it.backend.before = () => void (it.clock.now += 2 * SECOND);
  for (let i = 0; i < 100; i++) {
    await amountOf(it);
    it.clock.now += SECOND;
  }
  // It took 2 s, and so lasts for 40.
  assert.ok(it.backend.lists <= 3, String(it.backend.lists));
});

Deno.test("a turn does not wait for a store that hangs, nor fail with one that is away", async () => {
  const it = usageOf();
  const hanging = Promise.withResolvers<void>();
  it.backend.before = () => hanging.promise;
  assert.equal((await amountOf(it)).states, 0);
  await save(it.storeOf(), 1);
  it.clock.now += 60 * SECOND;
  const start = performance.now();
  for (let i = 0; i < 100; i++) await amountOf(it);
  assert.equal((await amountOf(it)).states, 1);
  // The first one has waited for all.
  assert.ok(performance.now() - start < 40);
  hanging.resolve();
  await it.backend.settled();
  assert.equal((await amountOf(it)).states, 1);
  it.backend.lost = true;
  it.clock.now += 60 * SECOND;
  assert.equal((await amountOf(it)).states, 1);
  await it.backend.settled();
  assert.equal((await amountOf(it)).states, 1);
});

Deno.test("what is held counts until it is let go of, once", async () => {
  const it = usageOf();
  const free = it.usage.reserve("acme", 2, 500);
  assert.deepEqual(await amountOf(it), { states: 2, bytes: 500, conversations: 0 });
  free();
  free();
  assert.deepEqual(await amountOf(it), { states: 0, bytes: 0, conversations: 0 });
});

for (const seed of [1, 2, 3, 4, 5, 6]) {
  Deno.test(`what is stored and removed while it is counted counts once, seed ${seed}`, async () => {
    const it = usageOf();
    const own = it.storeOf();
    const random = new Random(seed);
    const ids: string[] = [];
    const change = async () => {
      const what = random.below(4);
      if (what === 0 && ids.length > 0) {
        await own.delete(ids.splice(random.below(ids.length), 1)[0]);
      } else if (what === 1) {
        const id = own.newId();
        const turn = new Uint8Array(random.below(500));
        const begun = await own.begin(null, turn, { id, model: MODEL });
        if (random.chance(0.7)) await own.commit(begun!, content(random.below(99), { length: 99 }));
        ids.push(id);
      } else {
        ids.push(await save(own, random.below(99), random.below(3_000)));
      }
    };
    await amountOf(it);
    for (let round = 0; round < 10; round++) {
      it.backend.before = async () => {
        for (let i = random.below(4); i > 0; i--) await change();
      };
      it.clock.now += 10 * SECOND;
      const counting = amountOf(it);
      for (let i = random.below(4); i > 0; i--) await change();
      await counting;
      await it.backend.settled();
      it.backend.before = () => {};
      assert.deepEqual(await amountOf(it), await counted(it), `round ${round}`);
    }
    assert.ok(it.backend.lists > 10);
  });
}
