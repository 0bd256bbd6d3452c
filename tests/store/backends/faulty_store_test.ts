/** Workers on a store that fails at random: every id that was told is there, and leads to what it must. */

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
/** Of each worker. */
const OPERATIONS = 100;
/** Two chunks of a database. */
const LENGTH = 70_000;

/** What is known of an id. */
interface Told {
  /** Of its state. */
  seed: number;
  /** What it is still said to be: "gone" may be there yet, if nobody heard that it was deleted. */
  fate: "there" | "asked to go" | "gone";
}

/** Everything that clients of all workers know. */
class Clients {
  readonly told = new Map<string, Told>();
  /** Ids that nobody was told of in the end: each is there as a whole, or not at all. */
  readonly untold = new Map<string, number>();
  #seed = 0;

  newSeed(): number {
    return this.#seed = (this.#seed + 1) % 251;
  }

  there(): string[] {
    return [...this.told].filter(([, { fate }]) => fate === "there").map(([id]) => id);
  }
}

/** One operation of a client at a worker. Throws what the worker tells it. */
async function operate(store: StateStore, clients: Clients, random: Random): Promise<void> {
  const there = clients.there();
  const known = there.length === 0 ? null : random.of(there);
  const id = store.newId();
  const seed = clients.newSeed();
  if (known !== null && random.chance(0.15)) {
    const told = clients.told.get(known)!;
    told.fate = "asked to go";
    await store.delete(known);
    told.fate = "gone";
    return;
  }
  if (known !== null && random.chance(0.2)) {
    const { info } = await loaded(store, known, clients);
    return void await store.renew(info);
  }
  const parent = known === null || random.chance(0.2)
    ? null
    : (await loaded(store, known, clients)).info;
  const next = content(seed, { length: LENGTH });
  clients.untold.set(id, seed);
  const options = { id, model: MODEL };
  if (random.chance(0.5)) {
    const begun = await store.begin(parent, content(seed).turn, options);
    // Its parent has been replaced.
    if (begun === null) return;
    await store.commit(begun, next);
  } else {
    await store.save(next, { ...options, parent: parent?.id ?? null });
  }
  clients.untold.delete(id);
  clients.told.set(id, { seed, fate: "there" });
}

/** A state as its client knows it. */
async function loaded(store: StateStore, id: string, clients: Clients) {
  const found = await store.load(id, { model: MODEL });
  assert.deepEqual(found.state, pattern(LENGTH, clients.told.get(id)!.seed));
  return found;
}

/** What a client may hear while the store fails. */
function assertAllowed(error: unknown, clients: Clients): void {
  if (!(error instanceof InferenceError)) throw error;
  if (error.code === "store_unavailable") return;
  const [id] = error.message.match(/state_[0-9a-f]{48}/) ?? [];
  // One that somebody has asked to delete, before or after.
  const told = clients.told.get(id!);
  assert.ok(error.code === "state_not_found" && told?.fate !== "there", error.message);
}

async function run(inner: Backend, seed: number, faults: BackendFaults): Promise<void> {
  const random = new Random(seed);
  const clients = new Clients();
  const backends = Array.from({ length: WORKERS }, () => new FaultyBackend(inner, random));
  await Promise.all(backends.map(async (backend) => {
    const store = new StateStore(backend);
    for (let i = 0; i < OPERATIONS; i++) {
      // Trouble comes and goes.
      backend.faults = i % 20 < 12 ? faults : NO_BACKEND_FAULTS;
      await operate(store, clients, random).catch((error) => assertAllowed(error, clients));
    }
  }));
  const failures = backends.reduce((sum, backend) => sum + backend.failures, 0);
  assert.ok(failures > 10, `it has failed ${failures} times only`);
  assert.ok(clients.there().length > 10, `only ${clients.there().length} ids were told`);

  const calm = new StateStore(inner);
  for (const [id, { seed, fate }] of clients.told) {
    const state = await stateOf(calm, id);
    if (fate === "there") assert.deepEqual(state, pattern(LENGTH, seed));
    if (fate === "gone") assert.equal(state, null);
    if (fate === "asked to go" && state) assert.deepEqual(state, pattern(LENGTH, seed));
  }
  // Whatever else is there is whole, and somebody's.
  for await (const { key } of inner.list(["default", "state"])) {
    const id = String(key[2]);
    const found = await calm.load(id, { model: MODEL });
    if (found.info.open) continue;
    assert.deepEqual(found.state, pattern(LENGTH, clients.told.get(id)?.seed ?? found.state![0]));
    assert.ok(clients.told.has(id) || clients.untold.get(id) === found.state![0], id);
  }
}

/** `null`: there is none. */
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
  "does what it does not answer": { delayed: 0.5, failed: 0, lostReply: 0.08, diskFull: false },
  "does everything wrong": { delayed: 0.5, failed: 0.06, lostReply: 0.06, diskFull: false },
  "is full now and then": { delayed: 0.2, failed: 0, lostReply: 0.02, diskFull: true },
};

for (const [kind, faults] of Object.entries(KINDS)) {
  Deno.test(`a store that ${kind} loses no id and makes none up`, async () => {
    const seeds = caseCount(4, 1);
    for (let seed = 1; seed <= seeds; seed++) await run(new MemoryBackend(), seed, faults);
  });
}

Deno.test("an SQLite file behind a store that does everything wrong loses no id", async () => {
  await withTempFolder(async (folder) => {
    const inner = await DenoKvBackend.open(`${folder}/kv.sqlite`);
    try {
      await run(inner, 1, KINDS["does everything wrong"]);
    } finally {
      inner.close();
    }
  });
});
