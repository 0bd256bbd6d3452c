/** Garbage collection concurrent with writers, in any order of their operations. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import type { Backend } from "../../../src/store/backends/backend.ts";
import { collectGarbage } from "../../../src/store/states/gc.ts";
import { listStates } from "../../../src/store/states/list_states.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { type StateInfo, StateStore } from "../../../src/store/states/state_store.ts";
import { caseCount } from "../../support/quick.ts";
import { seeded } from "../../support/random_data.ts";
import { content, MODEL } from "../fixtures.ts";
import { type Actor, interleave, type Pick, preempt } from "./interleaving.ts";

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
const LATER = () => NOW + 3 * HOUR;
const SIZE = { length: 100 };

/** States created three hours ago. */
interface OldStates {
  /** A live state that shares its blob with `begun`. */
  parent: StateInfo;
  begun: StateInfo;
  /** An expired state whose blob has not expired and is not shared. */
  expired: StateInfo;
}

/** An operation of a writer on an old state. Returns the state that it created, if any. */
type Action = (store: StateStore, old: OldStates) => Promise<StateInfo | null | void>;

const begin = (store: StateStore, from: StateInfo) =>
  store.begin(from, content(7).turn, { id: store.newId(), model: MODEL });

const ACTIONS: Record<string, Action> = {
  "begins and commits": async (store, { parent }) => {
    const begun = await begin(store, parent);
    return begun && await store.commit(begun, content(8, SIZE));
  },
  "begins and deletes the parent": async (store, { parent }) => {
    const begun = await begin(store, parent);
    await store.delete(parent.id);
    return begun;
  },
  "commits": (store, { begun }) => store.commit(begun, content(9, SIZE)),
  "begins from a begun state": (store, { begun }) => begin(store, begun),
  "begins from an expired state": (store, { expired }) => begin(store, expired),
  "commits an expired state": (store, { expired }) =>
    store.commit(expired, content(9, SIZE)).catch((error) => {
      assert.equal(error.code, "state_not_found"); // the grace period has ended
    }),
  "deletes an expired state": (store, { expired }) => store.delete(expired.id),
  "deletes a begun state": (store, { begun }) => store.delete(begun.id),
  "saves": (store) =>
    store.save(content(5, SIZE), { id: store.newId(), model: MODEL, parent: null }),
};

/** Runs writers concurrently with a collection. Asserts that every state is readable and no row leaks. */
async function run(actions: readonly Action[], pick: Pick, label: string): Promise<number> {
  const backend = new MemoryBackend({ now: () => NOW });
  const old = await createOldStates(backend);
  let operations = 0;
  const created: StateInfo[] = [];
  const collect: Actor = (backend) => collectGarbage(backend, { now: LATER });
  const writers = actions.map((action): Actor => async (backend) => {
    try {
      const info = await action(new StateStore(backend, { now: LATER }), old);
      if (info) created.push(info);
    } catch (error) {
      // Another writer may have deleted or replaced what this one uses.
      const { code } = error as InferenceError;
      assert.ok(actions.length > 1 && code === "state_not_found", `${label}: ${error}`);
    }
  });
  await interleave(backend, [collect, ...writers], (waiting) => {
    operations++;
    return pick(waiting);
  });

  const store = new StateStore(backend, { now: LATER });
  // A single writer's states cannot have been deleted by another writer.
  const expected = actions.length === 1 ? created : [];
  for (const { id } of expected) {
    await assert.doesNotReject(store.load(id, { model: MODEL }), label);
  }
  const ids: string[] = [];
  for await (const { id } of listStates(backend)) ids.push(id);
  for (const id of ids) {
    const isExpired = id === old.expired.id && !created.some((info) => info.id === id);
    if (!isExpired) await assert.doesNotReject(store.load(id, { model: MODEL }), label);
    await store.delete(id);
  }
  await collectGarbage(backend, { now: LATER, olderThan: 0 });
  assert.equal(backend.size, 0, label);
  return operations;
}

async function createOldStates(backend: Backend): Promise<OldStates> {
  const store = new StateStore(backend, { now: () => NOW });
  const brief = new StateStore(backend, { now: () => NOW, ttl: HOUR });
  const save = (seed: number) =>
    store.save(content(seed, SIZE), { id: store.newId(), model: MODEL, parent: null });
  const parent = await save(1);
  const begun = (await begin(store, parent))!;
  const origin = await save(3);
  const expired = (await begin(brief, origin))!;
  await store.delete(origin.id);
  await store.save(content(4, SIZE), { id: store.newId(), model: MODEL, parent: null });
  return { parent, begun, expired };
}

for (const [name, action] of Object.entries(ACTIONS)) {
  Deno.test(`a collection between any two operations of a writer that ${name}, and the reverse`, async () => {
    for (const [first, second] of [[0, 1], [1, 0]]) {
      let steps = 0;
      for (; steps < await run([action], preempt(first, second, steps), `${first} ${steps}`);) {
        steps++;
      }
      assert.ok(steps > 10);
    }
  });
}

Deno.test("three writers and a collection in random orders", async () => {
  const actions = Object.values(ACTIONS);
  for (let seed = 0; seed < caseCount(1000, 200); seed++) {
    const random = seeded(seed);
    const below = (n: number) => Math.floor(random() * n);
    const three = [0, 1, 2].map(() => actions[below(actions.length)]);
    await run(three, (waiting) => waiting[below(waiting.length)], `seed ${seed}`);
  }
});
