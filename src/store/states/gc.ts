/**
 * Garbage collection: removes what no manifest names, and the bytes of states that have expired.
 * The database does most of this by itself, in time; this does it now, and tells what it came to.
 *
 * It is safe beside any number of workers and other collections, since it rests on the store's
 * protocol (`state_rows.ts`):
 *
 * - **A blob goes when it has no ref and is old.** A ref comes into being in two ways. Whoever wrote
 *   the blob names it in the first manifest; no blob is touched that was begun within the grace
 *   time, which is far longer than a write takes. Or a turn begins from a state that holds it, and
 *   that state's manifest is checked in the same atomic to be unchanged; as a manifest that holds a
 *   blob always has its ref beside it, there is no such manifest when there is no ref, and none can
 *   come, because the first one to come would need one before it. So once old and without a ref, a
 *   blob stays so, however much later its chunks are deleted.
 * - **An expired state keeps its manifest for a day**, and loses its refs in one atomic that writes
 *   the manifest anew. The exception to "a manifest has its refs" is so one that nobody can build
 *   on: the check of a turn that began from it fails, and it is found to have expired. A turn that
 *   still runs towards it is safe for the grace time.
 * - **A ref whose state is not there, or names other blobs, goes.** It was written together with a
 *   manifest that named its blob, under an id that is never used again, and that manifest has gone.
 *
 * What a collection that is killed leaves is garbage again, or still.
 */

import { DEFAULT_TENANT } from "../../core/tenant.ts";
import { type Backend, deleteKeys, type Entry, type Key } from "../backends/backend.ts";
import { blobTime } from "./blob_id.ts";
import { blobsKey, refKey, refsKey, stateKey } from "../row_keys.ts";
import { type ListedState, listStates, readable } from "./list_states.ts";
import { blobsOf, type Manifest } from "./manifest.ts";
import { TOMBSTONE_MS } from "./state_rows.ts";
import { listTenants } from "../tenants.ts";

/** How long writes and reads under way are waited for, unless told. */
export const GRACE_MS = 3_600_000;

/** Refs that are looked at together. */
const BATCH = 100;

/** What is garbage, and whose. */
export interface GarbageOptions {
  /** Whose; the default tenant's unless told. */
  tenant?: string | undefined;
  /** Epoch milliseconds. */
  now?: (() => number) | undefined;
  /**
   * Milliseconds since a blob was begun, or a state expired, before it may go: more than any write
   * or turn takes, and more than the workers' clocks differ.
   */
  olderThan?: number | undefined;
  /** Tells what would go, and removes nothing. */
  dryRun?: boolean | undefined;
}

/** What has gone. */
export interface Garbage {
  /** Expired ones. */
  states: number;
  /** Uses of blobs by states that are not there. */
  refs: number;
  /** Stored byte sequences that no state uses. */
  blobs: number;
  /** Pieces of blobs. */
  chunks: number;
  /** Of the chunks. */
  bytes: number;
  /** States that are left as they are, with all that may be theirs: this worker can't read them. */
  unreadable: number;
}

/**
 * Collects garbage, a state, ref or blob at a time: memory does not grow with what there is.
 *
 * @throws InferenceError `store_unavailable`; what has gone until then has gone.
 */
export async function collectGarbage(
  backend: Backend,
  options: GarbageOptions = {},
): Promise<Garbage> {
  const collector = new Collector(backend, options);
  await collector.endStates();
  await collector.dropRefs();
  await collector.dropBlobs();
  return collector.gone;
}

/** The same for every tenant of a store, one after the other. */
export async function collectAllGarbage(
  backend: Backend,
  options: Omit<GarbageOptions, "tenant"> = {},
): Promise<Garbage> {
  const sum = nothing();
  for (const tenant of await listTenants(backend)) {
    const gone = await collectGarbage(backend, { ...options, tenant });
    for (const kind of Object.keys(sum) as (keyof Garbage)[]) sum[kind] += gone[kind];
  }
  return sum;
}

function nothing(): Garbage {
  return { states: 0, refs: 0, blobs: 0, chunks: 0, bytes: 0, unreadable: 0 };
}

/** A blob as its chunks are listed. */
interface ListedBlob {
  id: string;
  chunks: Key[];
  bytes: number;
}

class Collector {
  readonly gone = nothing();
  readonly #backend: Backend;
  readonly #tenant: string;
  readonly #now: () => number;
  readonly #olderThan: number;
  readonly #dryRun: boolean;

  constructor(backend: Backend, options: GarbageOptions) {
    this.#backend = backend;
    this.#tenant = options.tenant ?? DEFAULT_TENANT;
    this.#now = options.now ?? Date.now;
    this.#olderThan = options.olderThan ?? GRACE_MS;
    this.#dryRun = options.dryRun ?? false;
  }

  /** Takes expired states' refs, and those manifests that have told long enough. */
  async endStates(): Promise<void> {
    for await (const state of listStates(this.#backend, { tenant: this.#tenant })) {
      if (state.manifest === null) this.gone.unreadable++;
      else if (this.#isOver(state.manifest)) await this.#endState(state, state.manifest);
    }
  }

  async #endState({ id, entry }: ListedState, manifest: Manifest): Promise<void> {
    const { key, value, versionstamp } = entry;
    const refs = await this.#present(
      blobsOf(manifest).map((blob) => refKey(this.#tenant, { blob: blob.id, state: id })),
    );
    const expireIn = manifest.expires + TOMBSTONE_MS - this.#now();
    if (refs.length === 0 && expireIn > 0) return; // done by a collection before
    if (!this.#dryRun) {
      const ended = await this.#backend.atomic([{ key, versionstamp }], [
        expireIn > 0 ? { type: "set", key, value, expireIn } : { type: "delete", key },
        ...refs.map((key) => ({ type: "delete", key } as const)),
      ]);
      if (ended === null) return; // replaced or deleted meanwhile
    }
    this.gone.states++;
    this.gone.refs += refs.length;
  }

  /** Drops refs of states that are not there, or name other blobs. */
  async dropRefs(): Promise<void> {
    let refs: Key[] = [];
    for await (const { key } of this.#backend.list(refsKey(this.#tenant))) {
      if (refs.push(key) < BATCH) continue;
      await this.#dropDangling(refs);
      refs = [];
    }
    await this.#dropDangling(refs);
  }

  async #dropDangling(refs: readonly Key[]): Promise<void> {
    const states = await this.#backend.getMany(refs.map((ref) => this.#stateOf(ref)));
    const dangling = refs.filter((ref, i) => !isNamed(ref, states[i]));
    await this.#delete(dangling);
    this.gone.refs += dangling.length;
  }

  /** Deletes old blobs without refs. */
  async dropBlobs(): Promise<void> {
    for await (const blob of this.#blobs()) {
      const old = blobTime(blob.id) + this.#olderThan <= this.#now();
      if (old && !await this.#isUsed(blob.id)) await this.#dropBlob(blob);
    }
  }

  async *#blobs(): AsyncGenerator<ListedBlob> {
    let blob: ListedBlob | undefined;
    for await (const { key, value } of this.#backend.list(blobsKey(this.#tenant))) {
      const id = String(key[2]);
      if (blob && blob.id !== id) {
        yield blob;
        blob = undefined;
      }
      blob ??= { id, chunks: [], bytes: 0 };
      blob.chunks.push(key);
      blob.bytes += value.length;
    }
    if (blob) yield blob;
  }

  async #dropBlob({ chunks, bytes }: ListedBlob): Promise<void> {
    await this.#delete(chunks);
    this.gone.blobs++;
    this.gone.chunks += chunks.length;
    this.gone.bytes += bytes;
  }

  async #isUsed(blob: string): Promise<boolean> {
    const limit = this.#dryRun ? undefined : 1;
    const refs = this.#backend.list([...refsKey(this.#tenant), blob], { limit });
    for await (const { key } of refs) {
      if (!this.#dryRun) return true;
      // In earnest the refs that are dropped are gone by now.
      const state = await this.#backend.get(this.#stateOf(key));
      const manifest = state && readable(state, String(key[3]));
      if (isNamed(key, state) && !(manifest && this.#isOver(manifest))) return true;
    }
    return false;
  }

  async #delete(keys: readonly Key[]): Promise<void> {
    if (!this.#dryRun) await deleteKeys(this.#backend, keys);
  }

  #isOver({ expires }: Manifest): boolean {
    return expires + this.#olderThan <= this.#now();
  }

  async #present(keys: readonly Key[]): Promise<Key[]> {
    const entries = await this.#backend.getMany(keys);
    return keys.filter((_, i) => entries[i] !== null);
  }

  #stateOf(ref: Key): Key {
    return stateKey(this.#tenant, String(ref[3]));
  }
}

/** Whether a ref's state, if there is one, names its blob, as far as can be told. */
function isNamed(ref: Key, state: Entry | null): boolean {
  if (state === null) return false;
  const manifest = readable(state, String(ref[3]));
  return manifest === null || blobsOf(manifest).some(({ id }) => id === ref[2]);
}
