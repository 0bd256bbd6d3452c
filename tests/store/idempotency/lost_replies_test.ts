/** Writes to a remote store that are repeated, delayed or lost, or whose reply is lost. */

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

/** The fault of one write. */
type Fault =
  /** The reply is lost and the write is repeated, as Deno's client does. */
  | "done twice"
  /** The write takes effect and its reply is lost. */
  | "done without a reply"
  /** The write takes effect after all other operations. */
  | "delayed"
  | "never done";

const FAULTS: readonly Fault[] = ["done twice", "done without a reply", "delayed", "never done"];

/** Injects the fault into write number `at`. */
class FaultyWriteBackend extends BackendWrapper {
  injected = false;
  readonly #fault: Fault;
  #left: number;
  #delayed: () => Promise<unknown> = () => Promise.resolve();

  constructor(inner: Backend, { at, fault }: { at: number; fault: Fault }) {
    super(inner);
    this.#left = at;
    this.#fault = fault;
  }

  protected async intercept<T>(operation: () => Promise<T>, writes: boolean): Promise<T> {
    if (!writes || this.#left-- !== 0) return await operation();
    this.injected = true;
    if (this.#fault === "delayed") this.#delayed = operation;
    else if (this.#fault !== "never done") await operation();
    if (this.#fault === "done twice") return await operation();
    throw new InferenceError("store_unavailable", "lost");
  }

  /** Performs the delayed write. */
  async settle(): Promise<void> {
    await this.#delayed();
  }
}

interface World {
  data: MemoryBackend;
  faulty: FaultyWriteBackend;
  /** A store over `data` without faults. */
  reliable: StateStore;
  /** A store over `faulty`. */
  store: StateStore;
  parent: StateInfo;
  /** A conversation whose head is `parent`. */
  conversation: Conversation;
}

/** Runs `body` for each fault in each of its writes. */
function forEveryWrite(name: string, body: (world: World, fault: Fault) => Promise<void>): void {
  for (const fault of FAULTS) {
    Deno.test(`a write that is ${fault}: ${name}`, async () => {
      let injected = true;
      for (let at = 0; injected; at++) {
        const data = new MemoryBackend();
        const faulty = new FaultyWriteBackend(data, { at, fault });
        const reliable = new StateStore(data, { ttl: HOURS });
        const parent = await reliable.save(content(1, { length: LENGTH }), {
          id: reliable.newId(),
          model: MODEL,
          parent: null,
        });
        const conversation = await reliable.conversations.create({ head: parent.id });
        const store = new StateStore(faulty, { ttl: HOURS });
        await body({ data, faulty, reliable, store, parent, conversation }, fault);
        injected = faulty.injected;
        if (!injected) assert.ok(at >= 2, "the body made too few writes");
      }
    });
  }
}

/** Returns `undefined` if the store was unavailable, which must not happen for "done twice". */
async function resultOrUnavailable<T>(promise: Promise<T>, fault: Fault): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    assert.ok(error instanceof InferenceError && error.code === "store_unavailable", `${error}`);
    assert.notEqual(fault, "done twice");
    return undefined;
  }
}

/** Returns the seeds of a state and its turn, or `null` if the state does not exist. */
async function seedsOf(store: StateStore, id: string): Promise<[number, number] | null> {
  try {
    const { state, turn } = await store.load(id, { model: MODEL });
    return [state![0], JSON.parse(new TextDecoder().decode(turn)).seed];
  } catch (error) {
    assert.ok(error instanceof InferenceError && error.code === "state_not_found", `${error}`);
    return null;
  }
}

/** Deletes `ids` and asserts that no rows remain, except those of a lost write that will expire. */
async function assertNothingLeft(
  { data, reliable, conversation }: World,
  fault: Fault,
  ids: readonly string[],
): Promise<void> {
  for (const id of ids) if (await seedsOf(reliable, id)) await reliable.delete(id);
  await reliable.conversations.delete(conversation.id);
  const manifests = await Array.fromAsync(data.list(["default", "state"]));
  assert.deepEqual(manifests, []);
  if (fault === "done twice") assert.equal(data.size, 0);
}

forEveryWrite("a streamed turn", async (world, fault) => {
  const { faulty, reliable, store, parent, conversation } = world;
  const id = store.newId();
  const last = content(3, { length: LENGTH });
  const begun = await resultOrUnavailable(
    store.begin(parent, content(2).turn, { id, model: MODEL }),
    fault,
  );
  // If `begin` failed, the turn is saved at its end under the same id.
  const names = { prefix: "some-hash", conversation };
  const stored = await resultOrUnavailable(
    begun
      ? store.commit(begun, last, names)
      : store.save(last, { id, model: MODEL, parent: parent.id, ...names }),
    fault,
  );
  const found = await seedsOf(reliable, id);
  if (stored) assert.deepEqual(found, [3, 3]);
  else if (begun) assert.ok(found?.[1] === 3 || String(found) === "1,2", `${found}`);
  if (stored) assert.ok(stored.moved);

  // A child that was created meanwhile is not changed by a delayed write.
  const child = found && await reliable.begin(
    (await reliable.load(id, { model: MODEL })).info,
    content(4).turn,
    { id: reliable.newId(), model: MODEL },
  );
  const childSeeds = child && await seedsOf(reliable, child.id);
  await faulty.settle();
  if (child) assert.deepEqual(await seedsOf(reliable, child.id), childSeeds);
  const after = await seedsOf(reliable, id);
  if (begun) assert.ok(after?.[1] === 3 || String(after) === "1,2", `${after}`);
  else assert.ok(after === null || after[1] === 3 || String(after) === "1,2", `${after}`);
  assert.deepEqual(await seedsOf(reliable, parent.id), [1, 1]);
  const { head } = await reliable.conversations.get(conversation.id);
  assert.ok(head === parent.id || head === id && after?.[1] === 3);
  await assertNothingLeft(world, fault, [parent.id, id, child?.id ?? []].flat());
});

forEveryWrite("a turn that is deleted before the end", async (world, fault) => {
  const { faulty, reliable, store, parent } = world;
  const id = store.newId();
  const begun = await resultOrUnavailable(
    store.begin(parent, content(2).turn, { id, model: MODEL }),
    fault,
  );
  if (begun) await resultOrUnavailable(store.commit(begun, content(3, { length: LENGTH })), fault);
  const existed = await seedsOf(reliable, id) !== null;
  if (existed) await reliable.delete(id);
  await faulty.settle();
  // A delayed write does not recreate a deleted state. It may create one that was never visible.
  if (existed) await rejects(reliable.load(id, { model: MODEL }), "state_not_found");
  assert.deepEqual(await seedsOf(reliable, parent.id), [1, 1]);
  await assertNothingLeft(world, fault, [parent.id, id]);
});

forEveryWrite("a turn that is saved at its end", async (world, fault) => {
  const { faulty, reliable, store, parent, conversation } = world;
  const save = (to: StateStore, id: string) =>
    to.save(content(3, { length: LENGTH }), {
      id,
      model: MODEL,
      parent: parent.id,
      conversation,
      prefix: "some-hash",
    });
  const id = store.newId();
  const stored = await resultOrUnavailable(save(store, id), fault);
  if (stored) assert.ok(stored.moved);
  // The client got no reply and retries.
  const again = stored ?? await save(reliable, reliable.newId());
  await faulty.settle();
  assert.deepEqual(await seedsOf(reliable, again.id), [3, 3]);
  const first = await seedsOf(reliable, id);
  assert.ok(first === null || String(first) === "3,3");
  const { head } = await reliable.conversations.get(conversation.id);
  assert.ok(
    head === again.id || head === id && first !== null,
    "the conversation has an unexpected head",
  );
  await assertNothingLeft(world, fault, [parent.id, id, again.id]);
});

forEveryWrite("a renewal", async (world, fault) => {
  const { data, faulty, reliable, parent } = world;
  const later = new StateStore(faulty, { ttl: HOURS, now: () => Date.now() + 0.7 * HOURS });
  await resultOrUnavailable(later.renew(parent), fault);
  assert.deepEqual(await seedsOf(reliable, parent.id), [1, 1]);
  await faulty.settle();
  assert.deepEqual(await seedsOf(new StateStore(data), parent.id), [1, 1]);
  await assertNothingLeft(world, fault, [parent.id]);
});

forEveryWrite("a deletion", async (world, fault) => {
  const { faulty, reliable, store, parent } = world;
  const child = await reliable.begin(parent, content(2).turn, {
    id: reliable.newId(),
    model: MODEL,
  });
  await resultOrUnavailable(store.delete(parent.id), fault);
  assert.deepEqual(await seedsOf(reliable, child!.id), [1, 2]);
  // A repeated deletion succeeds or does not find the state.
  await reliable.delete(parent.id).catch((error) => assert.equal(error.code, "state_not_found"));
  await faulty.settle();
  assert.equal(await seedsOf(reliable, parent.id), null);
  assert.deepEqual(await seedsOf(reliable, child!.id), [1, 2]);
  await assertNothingLeft(world, fault, [child!.id]);
});
