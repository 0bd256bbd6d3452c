/** Garbage collection beside writers, in any order of their operations. */

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

/** States of three hours ago. */
interface Past {
  /** Lives; its blob is shared by `begun`. */
  parent: StateInfo;
  begun: StateInfo;
  /** Has expired; nobody else has its blob, which would last. */
  expired: StateInfo;
}

/** What one of the writers does with a past state; a state that it has made in the end is told. */
type Deed = (store: StateStore, past: Past) => Promise<StateInfo | null | void>;

const begin = (store: StateStore, from: StateInfo) =>
  store.begin(from, content(7).turn, { id: store.newId(), model: MODEL });

const DEEDS: Record<string, Deed> = {
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
      assert.equal(error.code, "state_not_found"); // too late for the grace time
    }),
  "deletes an expired state": (store, { expired }) => store.delete(expired.id),
  "deletes a begun state": (store, { begun }) => store.delete(begun.id),
  "saves": (store) =>
    store.save(content(5, SIZE), { id: store.newId(), model: MODEL, parent: null }),
};

/** Runs deeds beside a collection, and asserts that every state is whole and nothing is left over. */
async function run(deeds: readonly Deed[], pick: Pick, what: string): Promise<number> {
  const backend = new MemoryBackend({ now: () => NOW });
  const past = await makePast(backend);
  let operations = 0;
  const made: StateInfo[] = [];
  const collect: Actor = (backend) => collectGarbage(backend, { now: LATER });
  const actors = deeds.map((deed): Actor => async (backend) => {
    try {
      const info = await deed(new StateStore(backend, { now: LATER }), past);
      if (info) made.push(info);
    } catch (error) {
      // Another writer may have deleted or replaced what this one uses.
      const { code } = error as InferenceError;
      assert.ok(deeds.length > 1 && code === "state_not_found", `${what}: ${error}`);
    }
  });
  await interleave(backend, [collect, ...actors], (waiting) => {
    operations++;
    return pick(waiting);
  });

  const store = new StateStore(backend, { now: LATER });
  // Nobody else may have deleted them then.
  const alone = deeds.length === 1 ? made : [];
  for (const { id } of alone) await assert.doesNotReject(store.load(id, { model: MODEL }), what);
  const ids: string[] = [];
  for await (const { id } of listStates(backend)) ids.push(id);
  for (const id of ids) {
    const ended = id === past.expired.id && !made.some((info) => info.id === id);
    if (!ended) await assert.doesNotReject(store.load(id, { model: MODEL }), what);
    await store.delete(id);
  }
  await collectGarbage(backend, { now: LATER, olderThan: 0 });
  assert.equal(backend.size, 0, what);
  return operations;
}

async function makePast(backend: Backend): Promise<Past> {
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

for (const [name, deed] of Object.entries(DEEDS)) {
  Deno.test(`a collection between any two operations of one who ${name}, and the reverse`, async () => {
    for (const [first, second] of [[0, 1], [1, 0]]) {
      let steps = 0;
      for (; steps < await run([deed], preempt(first, second, steps), `${first} ${steps}`);) {
        steps++;
      }
      assert.ok(steps > 10);
    }
  });
}

Deno.test("three writers and a collection, in a thousand orders", async () => {
  const deeds = Object.values(DEEDS);
  for (let seed = 0; seed < caseCount(1000, 200); seed++) {
    const random = seeded(seed);
    const below = (n: number) => Math.floor(random() * n);
    const three = [0, 1, 2].map(() => deeds[below(deeds.length)]);
    await run(three, (waiting) => waiting[below(waiting.length)], `seed ${seed}`);
  }
});
