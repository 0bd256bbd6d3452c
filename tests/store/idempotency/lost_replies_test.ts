/** Writes that are done twice, or whose answer is lost, or that come late: as a server far away does. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import type { Backend } from "../../../src/store/backends/backend.ts";
import type { Conversation } from "../../../src/store/states/conversations.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { type StateInfo, StateStore } from "../../../src/store/states/state_store.ts";
import { BackendWrapper } from "../../support/faults/backend_wrapper.ts";
import { rejects } from "../../session/fixtures.ts";
import { content, MODEL } from "../fixtures.ts";

const LENGTH = 900_000; // 14 chunks, 2 atomics
const HOURS = 3_600_000;

/** What becomes of the one write that is lost. */
type Fate =
  /** Its answer is lost and it is sent again, as Deno's client does by itself. */
  | "done twice"
  /** It is done, and nobody hears of it. */
  | "unanswered"
  /** It is done when everything else is over. */
  | "late"
  | "never done";

const FATES: readonly Fate[] = ["done twice", "unanswered", "late", "never done"];

/** Loses the atomic of number `at`. */
class LosingBackend extends BackendWrapper {
  lost = false;
  readonly #fate: Fate;
  #left: number;
  #late: () => Promise<unknown> = () => Promise.resolve();

  constructor(inner: Backend, { at, fate }: { at: number; fate: Fate }) {
    super(inner);
    this.#left = at;
    this.#fate = fate;
  }

  protected async intercept<T>(operation: () => Promise<T>, writes: boolean): Promise<T> {
    if (!writes || this.#left-- !== 0) return await operation();
    this.lost = true;
    if (this.#fate === "late") this.#late = operation;
    else if (this.#fate !== "never done") await operation();
    if (this.#fate === "done twice") return await operation();
    throw new InferenceError("store_unavailable", "lost");
  }

  /** Does what is late. */
  async settle(): Promise<void> {
    await this.#late();
  }
}

interface World {
  data: MemoryBackend;
  losing: LosingBackend;
  /** The same states, over a backend that loses nothing. */
  calm: StateStore;
  /** Over the one that does. */
  store: StateStore;
  parent: StateInfo;
  /** It has come to the parent. */
  conversation: Conversation;
}

/** Runs `body` once for each fate of each write, until it makes no more. */
function forEveryWrite(name: string, body: (world: World, fate: Fate) => Promise<void>): void {
  for (const fate of FATES) {
    Deno.test(`a write that is ${fate}: ${name}`, async () => {
      let lost = true;
      for (let at = 0; lost; at++) {
        const data = new MemoryBackend();
        const losing = new LosingBackend(data, { at, fate });
        const calm = new StateStore(data, { ttl: HOURS });
        const parent = await calm.save(content(1, { length: LENGTH }), {
          id: calm.newId(),
          model: MODEL,
          parent: null,
        });
        const conversation = await calm.conversations.create({ head: parent.id });
        const store = new StateStore(losing, { ttl: HOURS });
        await body({ data, losing, calm, store, parent, conversation }, fate);
        lost = losing.lost;
        if (!lost) assert.ok(at >= 2, "it wrote too little");
      }
    });
  }
}

/** `undefined` if the store could not be reached, unless that cannot be. */
async function unlessLost<T>(promise: Promise<T>, fate: Fate): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    assert.ok(error instanceof InferenceError && error.code === "store_unavailable", `${error}`);
    assert.notEqual(fate, "done twice");
    return undefined;
  }
}

/** Seeds of a state and of its turn, verified; `null` if there is none. */
async function seedsOf(store: StateStore, id: string): Promise<[number, number] | null> {
  try {
    const { state, turn } = await store.load(id, { model: MODEL });
    return [state![0], JSON.parse(new TextDecoder().decode(turn)).seed];
  } catch (error) {
    assert.ok(error instanceof InferenceError && error.code === "state_not_found", `${error}`);
    return null;
  }
}

/** That nothing is left once `ids` are deleted, but what a lost write may leave to expire. */
async function assertNothingLeft(
  { data, calm, conversation }: World,
  fate: Fate,
  ids: readonly string[],
): Promise<void> {
  for (const id of ids) if (await seedsOf(calm, id)) await calm.delete(id);
  await calm.conversations.delete(conversation.id);
  const manifests = await Array.fromAsync(data.list(["default", "state"]));
  assert.deepEqual(manifests, []);
  if (fate === "done twice") assert.equal(data.size, 0);
}

forEveryWrite("a streamed turn", async (world, fate) => {
  const { losing, calm, store, parent, conversation } = world;
  const id = store.newId();
  const last = content(3, { length: LENGTH });
  const begun = await unlessLost(
    store.begin(parent, content(2).turn, { id, model: MODEL }),
    fate,
  );
  // A turn that could not begin to exist is stored when it ends, under the same id.
  const names = { prefix: "some-hash", conversation };
  const stored = await unlessLost(
    begun
      ? store.commit(begun, last, names)
      : store.save(last, { id, model: MODEL, parent: parent.id, ...names }),
    fate,
  );
  const found = await seedsOf(calm, id);
  if (stored) assert.deepEqual(found, [3, 3]);
  else if (begun) assert.ok(found?.[1] === 3 || String(found) === "1,2", `${found}`);
  if (stored) assert.ok(stored.moved);

  // Whoever resumes it meanwhile has a state of his own, whatever comes late.
  const child = found && await calm.begin(
    (await calm.load(id, { model: MODEL })).info,
    content(4).turn,
    { id: calm.newId(), model: MODEL },
  );
  const childSeeds = child && await seedsOf(calm, child.id);
  await losing.settle();
  if (child) assert.deepEqual(await seedsOf(calm, child.id), childSeeds);
  const after = await seedsOf(calm, id);
  if (begun) assert.ok(after?.[1] === 3 || String(after) === "1,2", `${after}`);
  else assert.ok(after === null || after[1] === 3 || String(after) === "1,2", `${after}`);
  assert.deepEqual(await seedsOf(calm, parent.id), [1, 1]);
  const { head } = await calm.conversations.get(conversation.id);
  assert.ok(head === parent.id || head === id && after?.[1] === 3);
  await assertNothingLeft(world, fate, [parent.id, id, child?.id ?? []].flat());
});

forEveryWrite("a turn that is deleted before the end", async (world, fate) => {
  const { losing, calm, store, parent } = world;
  const id = store.newId();
  const begun = await unlessLost(
    store.begin(parent, content(2).turn, { id, model: MODEL }),
    fate,
  );
  if (begun) await unlessLost(store.commit(begun, content(3, { length: LENGTH })), fate);
  const existed = await seedsOf(calm, id) !== null;
  if (existed) await calm.delete(id);
  await losing.settle();
  // It does not come back; one that nobody has seen may come.
  if (existed) await rejects(calm.load(id, { model: MODEL }), "state_not_found");
  assert.deepEqual(await seedsOf(calm, parent.id), [1, 1]);
  await assertNothingLeft(world, fate, [parent.id, id]);
});

forEveryWrite("a whole turn", async (world, fate) => {
  const { losing, calm, store, parent, conversation } = world;
  const save = (to: StateStore, id: string) =>
    to.save(content(3, { length: LENGTH }), {
      id,
      model: MODEL,
      parent: parent.id,
      conversation,
      prefix: "some-hash",
    });
  const id = store.newId();
  const stored = await unlessLost(save(store, id), fate);
  if (stored) assert.ok(stored.moved);
  // The client, told nothing, asks again.
  const again = stored ?? await save(calm, calm.newId());
  await losing.settle();
  assert.deepEqual(await seedsOf(calm, again.id), [3, 3]);
  const first = await seedsOf(calm, id);
  assert.ok(first === null || String(first) === "3,3");
  const { head } = await calm.conversations.get(conversation.id);
  assert.ok(head === again.id || head === id && first !== null, "it moved on");
  await assertNothingLeft(world, fate, [parent.id, id, again.id]);
});

forEveryWrite("a renewal", async (world, fate) => {
  const { data, losing, calm, parent } = world;
  const later = new StateStore(losing, { ttl: HOURS, now: () => Date.now() + 0.7 * HOURS });
  await unlessLost(later.renew(parent), fate);
  assert.deepEqual(await seedsOf(calm, parent.id), [1, 1]);
  await losing.settle();
  assert.deepEqual(await seedsOf(new StateStore(data), parent.id), [1, 1]);
  await assertNothingLeft(world, fate, [parent.id]);
});

forEveryWrite("a deletion", async (world, fate) => {
  const { losing, calm, store, parent } = world;
  const child = await calm.begin(parent, content(2).turn, { id: calm.newId(), model: MODEL });
  await unlessLost(store.delete(parent.id), fate);
  assert.deepEqual(await seedsOf(calm, child!.id), [1, 2]);
  // Asked again, it is gone, or was.
  await calm.delete(parent.id).catch((error) => assert.equal(error.code, "state_not_found"));
  await losing.settle();
  assert.equal(await seedsOf(calm, parent.id), null);
  assert.deepEqual(await seedsOf(calm, child!.id), [1, 2]);
  await assertNothingLeft(world, fate, [child!.id]);
});
