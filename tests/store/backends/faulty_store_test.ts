/** Workers on a store with random faults: every returned id exists and has the right content. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import type { Backend } from "../../../src/store/backends/backend.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import {
  type BackendFaults,
  FaultyBackend,
  NO_BACKEND_FAULTS,
} from "../../support/faults/faulty_backend.ts";
import { caseCount } from "../../support/quick.ts";
import { Random } from "../../support/random_data.ts";
import { content, MODEL, pattern, withTempFolder } from "../fixtures.ts";

const WORKERS = 3;
/** Operations of each worker. */
const OPERATIONS = 100;
/** State size in bytes: two chunks. */
const LENGTH = 70_000;

/** What the clients know about a returned id. */
interface ReturnedId {
  /** Seed of its state. */
  seed: number;
  /** "deleting" until the deletion is acknowledged: the state may or may not exist. */
  status: "stored" | "deleting" | "deleted";
}

/** The knowledge of all clients. */
class Clients {
  readonly returned = new Map<string, ReturnedId>();
  /** Seeds of ids that were not returned: each state is complete or does not exist. */
  readonly unreturned = new Map<string, number>();
  #seed = 0;

  newSeed(): number {
    return this.#seed = (this.#seed + 1) % 251;
  }

  stored(): string[] {
    return [...this.returned].filter(([, { status }]) => status === "stored").map(([id]) => id);
  }
}

/** Performs a random operation of a client on a worker. Throws the error of the worker. */
async function operate(store: StateStore, clients: Clients, random: Random): Promise<void> {
  const stored = clients.stored();
  const known = stored.length === 0 ? null : random.of(stored);
  const id = store.newId();
  const seed = clients.newSeed();
  if (known !== null && random.chance(0.15)) {
    const entry = clients.returned.get(known)!;
    entry.status = "deleting";
    await store.delete(known);
    entry.status = "deleted";
    return;
  }
  if (known !== null && random.chance(0.2)) {
    const { info } = await loadVerified(store, known, clients);
    return void await store.renew(info);
  }
  const parent = known === null || random.chance(0.2)
    ? null
    : (await loadVerified(store, known, clients)).info;
  const next = content(seed, { length: LENGTH });
  clients.unreturned.set(id, seed);
  const options = { id, model: MODEL };
  if (random.chance(0.5)) {
    const begun = await store.begin(parent, content(seed).turn, options);
    // The parent was replaced.
    if (begun === null) return;
    await store.commit(begun, next);
  } else {
    await store.save(next, { ...options, parent: parent?.id ?? null });
  }
  clients.unreturned.delete(id);
  clients.returned.set(id, { seed, status: "stored" });
}

/** Loads a state and verifies its content. */
async function loadVerified(store: StateStore, id: string, clients: Clients) {
  const found = await store.load(id, { model: MODEL });
  assert.deepEqual(found.state, pattern(LENGTH, clients.returned.get(id)!.seed));
  return found;
}

/** Asserts that a client may get this error while the store fails. */
function assertAllowed(error: unknown, clients: Clients): void {
  if (!(error instanceof InferenceError)) throw error;
  if (error.code === "store_unavailable") return;
  const [id] = error.message.match(/state_[0-9a-f]{48}/) ?? [];
  // Otherwise a client requested the deletion of the state, before or after this operation.
  const entry = clients.returned.get(id!);
  assert.ok(error.code === "state_not_found" && entry?.status !== "stored", error.message);
}

async function run(inner: Backend, seed: number, faults: BackendFaults): Promise<void> {
  const random = new Random(seed);
  const clients = new Clients();
  const backends = Array.from({ length: WORKERS }, () => new FaultyBackend(inner, random));
  await Promise.all(backends.map(async (backend) => {
    const store = new StateStore(backend);
    for (let i = 0; i < OPERATIONS; i++) {
      // Periods with faults alternate with periods without faults.
      backend.faults = i % 20 < 12 ? faults : NO_BACKEND_FAULTS;
      await operate(store, clients, random).catch((error) => assertAllowed(error, clients));
    }
  }));
  const failures = backends.reduce((sum, backend) => sum + backend.failures, 0);
  assert.ok(failures > 10, `only ${failures} failures`);
  assert.ok(clients.stored().length > 10, `only ${clients.stored().length} ids were returned`);

  const reliable = new StateStore(inner);
  for (const [id, { seed, status }] of clients.returned) {
    const state = await stateOf(reliable, id);
    if (status === "stored") assert.deepEqual(state, pattern(LENGTH, seed));
    if (status === "deleted") assert.equal(state, null);
    if (status === "deleting" && state) assert.deepEqual(state, pattern(LENGTH, seed));
  }
  // All other states are complete and belong to a known id.
  for await (const { key } of inner.list(["default", "state"])) {
    const id = String(key[2]);
    const found = await reliable.load(id, { model: MODEL });
    if (found.info.open) continue;
    assert.deepEqual(
      found.state,
      pattern(LENGTH, clients.returned.get(id)?.seed ?? found.state![0]),
    );
    assert.ok(clients.returned.has(id) || clients.unreturned.get(id) === found.state![0], id);
  }
}

/** Returns the bytes of a state, or `null` if it does not exist. */
async function stateOf(store: StateStore, id: string): Promise<Uint8Array | null> {
  try {
    return (await store.load(id, { model: MODEL })).state;
  } catch (error) {
    assert.ok(error instanceof InferenceError && error.code === "state_not_found", `${error}`);
    return null;
  }
}

const KINDS: Record<string, BackendFaults> = {
  "is slow and fails": { delayed: 0.5, failed: 0.08, lostReply: 0, diskFull: false },
  "loses replies": { delayed: 0.5, failed: 0, lostReply: 0.08, diskFull: false },
  "fails and loses replies": { delayed: 0.5, failed: 0.06, lostReply: 0.06, diskFull: false },
  "is full at times": { delayed: 0.2, failed: 0, lostReply: 0.02, diskFull: true },
};

for (const [kind, faults] of Object.entries(KINDS)) {
  Deno.test(`a store that ${kind} keeps every returned id and adds no unknown id`, async () => {
    const seeds = caseCount(4, 1);
    for (let seed = 1; seed <= seeds; seed++) await run(new MemoryBackend(), seed, faults);
  });
}

Deno.test("an SQLite file behind a store with faults keeps every returned id", async () => {
  await withTempFolder(async (folder) => {
    const inner = await DenoKvBackend.open(`${folder}/kv.sqlite`);
    try {
      await run(inner, 1, KINDS["fails and loses replies"]);
    } finally {
      inner.close();
    }
  });
});
