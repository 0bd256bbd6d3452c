/** Listing states and the rows that it reads. */

import assert from "node:assert/strict";
import type { Backend, Entry, Key, ListOptions } from "../../../src/store/backends/backend.ts";
import { listStates } from "../../../src/store/states/list_states.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { content, MODEL } from "../fixtures.ts";

const NOW = 1_800_000_000_000;

/** Counts the entries that are read, by kind. */
class CountingBackend extends MemoryBackend {
  readonly read: Record<string, number> = {};

  override get(key: Key): Promise<Entry | null> {
    this.#count(key);
    return super.get(key);
  }

  override getMany(keys: readonly Key[]): Promise<(Entry | null)[]> {
    keys.forEach((key) => this.#count(key));
    return super.getMany(keys);
  }

  override async *list(prefix: Key, options?: ListOptions): AsyncGenerator<Entry> {
    for await (const entry of super.list(prefix, options)) {
      this.#count(entry.key);
      yield entry;
    }
  }

  #count([, kind]: Key): void {
    this.read[kind] = (this.read[kind] ?? 0) + 1;
  }
}

async function collect(backend: Backend, tenant?: string) {
  const states = [];
  for await (const state of listStates(backend, { tenant })) states.push(state);
  return states;
}

Deno.test("a list of states reads only manifests", async () => {
  const backend = new CountingBackend();
  const store = new StateStore(backend, { now: () => NOW });
  const ids: string[] = [];
  for (let seed = 0; seed < 1200; seed++) {
    const id = store.newId();
    ids.push(id);
    await store.save({ ...content(seed, { length: 10 }), tokens: seed }, {
      id,
      model: MODEL,
      parent: null,
    });
  }
  const listed = await collect(backend);
  assert.deepEqual(backend.read, { state: 1200 });
  assert.deepEqual(listed.map(({ id }) => id), ids.toSorted());
  for (const { id, manifest } of listed) {
    assert.equal(manifest?.tokens, ids.indexOf(id));
    assert.equal(manifest?.created, NOW);
    assert.equal(manifest?.state?.bytes, 10);
  }
  assert.deepEqual(await collect(backend, "another"), []);
});

Deno.test("a manifest has the number of processed tokens if it is known", async () => {
  const store = new StateStore(new MemoryBackend());
  const options = () => ({ id: store.newId(), model: MODEL });
  const first = await store.begin(null, content(1).turn, options());
  assert.equal(first!.tokens, 0);
  const known = await store.commit(first!, { ...content(2), tokens: 7 });
  assert.equal(known.tokens, 7);
  // A turn begins with the processed tokens of its parent.
  assert.equal((await store.begin(known, content(3).turn, options()))!.tokens, 7);
  const unknown = await store.save(content(4), { ...options(), parent: null });
  const begun = await store.begin(unknown, content(5).turn, options());
  assert.equal("tokens" in (await store.inspect(begun!.id)).info, false);
});

Deno.test("a state with an unreadable manifest is listed without it", async () => {
  const backend = new MemoryBackend();
  const store = new StateStore(backend);
  const { id } = await store.save(content(1), { id: store.newId(), model: MODEL, parent: null });
  const value = new TextEncoder().encode('{"version":2}');
  await backend.atomic([], [{ type: "set", key: ["default", "state", id], value }]);
  const [{ manifest, entry }] = await collect(backend);
  assert.equal(manifest, null);
  assert.deepEqual(entry.value, value);
});
