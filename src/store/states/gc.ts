/**
 * Garbage collection: deletes blobs that no manifest references, and the bytes of expired states. The
 * database expires most of them eventually; a collection deletes them immediately and reports what
 * it deleted.
 *
 * It is safe while workers and other collections are running, because of the protocol of
 * `state_rows.ts`:
 *
 * - **A blob is deleted if it is old and has no ref.** A ref is created in two ways. The writer of a
 *   blob references it in the first manifest; blobs younger than the grace period, which is far
 *   longer than a write, are never deleted. Or a turn starts from a state that references the blob,
 *   and the same atomic write checks that the manifest of this state is unchanged. A manifest that
 *   references a blob always has a ref. Without a ref there is no such manifest, and none can be
 *   created, because the first one would need an earlier one. An old blob without a ref therefore
 *   stays without one, however much later its chunks are deleted.
 * - **An expired state keeps its manifest for a day** and loses its refs in one atomic write that also
 *   rewrites the manifest. This exception to "a manifest has its refs" is safe: the check of a turn
 *   that started from the state fails, and the state has expired. A turn that still runs towards the
 *   state is protected by the grace period.
 * - **A ref is deleted if its state does not exist or references other blobs.** It was written with a
 *   manifest under an id that is never reused, and this manifest is gone.
 *
 * The next collection deletes the leftovers of an interrupted one.
 */

import { DEFAULT_TENANT } from "../../core/tenant.ts";
import { type Backend, deleteKeys, type Entry, type Key } from "../backends/backend.ts";
import { blobTime } from "./blob_id.ts";
import { blobsKey, refKey, refsKey, stateKey } from "../row_keys.ts";
import { type ListedState, listStates, readManifest } from "./list_states.ts";
import { blobsOf, type Manifest } from "./manifest.ts";
import { TOMBSTONE_MS } from "./state_rows.ts";
import { listTenants } from "../tenants.ts";

/** Default grace period for running writes and reads, in milliseconds. */
export const GRACE_MS = 3_600_000;

/** Refs that are checked in one batch. */
const BATCH = 100;

/** Options of a collection. */
export interface GarbageOptions {
  /** The tenant; the default tenant by default. */
  tenant?: string | undefined;
  /** Epoch milliseconds. */
  now?: (() => number) | undefined;
  /**
   * Minimum age of blobs, and of expirations, in milliseconds: more than any write or turn takes, and
   * more than the clocks of workers differ.
   */
  olderThan?: number | undefined;
  /** Reports what would be deleted, without deleting anything. */
  dryRun?: boolean | undefined;
}

/** The result of a collection: what was deleted. */
export interface Garbage {
  /** Expired states. */
  states: number;
  /** References to blobs by states that do not exist. */
  refs: number;
  /** Blobs that no state references. */
  blobs: number;
  /** Chunks of blobs. */
  chunks: number;
  /** Bytes of the chunks. */
  bytes: number;
  /** States that this worker cannot read. They and their blobs are kept. */
  unreadable: number;
}

/**
 * Collects the garbage of one tenant. Memory use does not depend on the size of the store.
 *
 * @throws InferenceError `store_unavailable`; earlier deletions remain.
 */
export async function collectGarbage(
  backend: Backend,
  options: GarbageOptions = {},
): Promise<Garbage> {
  const collector = new Collector(backend, options);
  await collector.expireStates();
  await collector.deleteRefs();
  await collector.deleteBlobs();
  return collector.deleted;
}

/** Collects the garbage of every tenant, one after the other. */
export async function collectAllGarbage(
  backend: Backend,
  options: Omit<GarbageOptions, "tenant"> = {},
): Promise<Garbage> {
  const sum = noGarbage();
  for (const tenant of await listTenants(backend)) {
    const deleted = await collectGarbage(backend, { ...options, tenant });
    for (const kind of Object.keys(sum) as (keyof Garbage)[]) sum[kind] += deleted[kind];
  }
  return sum;
}

function noGarbage(): Garbage {
  return { states: 0, refs: 0, blobs: 0, chunks: 0, bytes: 0, unreadable: 0 };
}

/** A blob and its listed chunks. */
interface ListedBlob {
  id: string;
  chunks: Key[];
  bytes: number;
}

class Collector {
  readonly deleted = noGarbage();
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

  /** Deletes the refs of expired states, and manifests that expired more than a day ago. */
  async expireStates(): Promise<void> {
    for await (const state of listStates(this.#backend, { tenant: this.#tenant })) {
      if (state.manifest === null) this.deleted.unreadable++;
      else if (this.#isExpired(state.manifest)) await this.#expireState(state, state.manifest);
    }
  }

  async #expireState({ id, entry }: ListedState, manifest: Manifest): Promise<void> {
    const { key, value, versionstamp } = entry;
    const refs = await this.#existing(
      blobsOf(manifest).map((blob) => refKey(this.#tenant, { blob: blob.id, state: id })),
    );
    const expireIn = manifest.expires + TOMBSTONE_MS - this.#now();
    if (refs.length === 0 && expireIn > 0) return; // done by an earlier collection
    if (!this.#dryRun) {
      const expired = await this.#backend.atomic([{ key, versionstamp }], [
        expireIn > 0 ? { type: "set", key, value, expireIn } : { type: "delete", key },
        ...refs.map((key) => ({ type: "delete", key } as const)),
      ]);
      if (expired === null) return; // replaced or deleted concurrently
    }
    this.deleted.states++;
    this.deleted.refs += refs.length;
  }

  /** Deletes refs of states that do not exist or reference other blobs. */
  async deleteRefs(): Promise<void> {
    let refs: Key[] = [];
    for await (const { key } of this.#backend.list(refsKey(this.#tenant))) {
      if (refs.push(key) < BATCH) continue;
      await this.#deleteDangling(refs);
      refs = [];
    }
    await this.#deleteDangling(refs);
  }

  async #deleteDangling(refs: readonly Key[]): Promise<void> {
    const states = await this.#backend.getMany(refs.map((ref) => this.#stateOf(ref)));
    const dangling = refs.filter((ref, i) => !isReferenced(ref, states[i]));
    await this.#delete(dangling);
    this.deleted.refs += dangling.length;
  }

  /** Deletes old blobs without refs. */
  async deleteBlobs(): Promise<void> {
    for await (const blob of this.#blobs()) {
      const old = blobTime(blob.id) + this.#olderThan <= this.#now();
      if (old && !await this.#isUsed(blob.id)) await this.#deleteBlob(blob);
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

  async #deleteBlob({ chunks, bytes }: ListedBlob): Promise<void> {
    await this.#delete(chunks);
    this.deleted.blobs++;
    this.deleted.chunks += chunks.length;
    this.deleted.bytes += bytes;
  }

  async #isUsed(blob: string): Promise<boolean> {
    const limit = this.#dryRun ? undefined : 1;
    const refs = this.#backend.list([...refsKey(this.#tenant), blob], { limit });
    for await (const { key } of refs) {
      if (!this.#dryRun) return true;
      // Without dryRun, dangling refs have been deleted before.
      const state = await this.#backend.get(this.#stateOf(key));
      const manifest = state && readManifest(state, String(key[3]));
      if (isReferenced(key, state) && !(manifest && this.#isExpired(manifest))) return true;
    }
    return false;
  }

  async #delete(keys: readonly Key[]): Promise<void> {
    if (!this.#dryRun) await deleteKeys(this.#backend, keys);
  }

  #isExpired({ expires }: Manifest): boolean {
    return expires + this.#olderThan <= this.#now();
  }

  async #existing(keys: readonly Key[]): Promise<Key[]> {
    const entries = await this.#backend.getMany(keys);
    return keys.filter((_, i) => entries[i] !== null);
  }

  #stateOf(ref: Key): Key {
    return stateKey(this.#tenant, String(ref[3]));
  }
}

/** Returns whether the state of a ref references its blob, or cannot be read. */
function isReferenced(ref: Key, state: Entry | null): boolean {
  if (state === null) return false;
  const manifest = readManifest(state, String(ref[3]));
  return manifest === null || blobsOf(manifest).some(({ id }) => id === ref[2]);
}
