/**
 * The rows of states: the manifest `[tenant, "state", id]`, and a ref `[tenant, "ref", blob, id]` for
 * every blob that it references. Manifest and refs change in one atomic write, after the blobs have
 * been written and before any are deleted. Therefore:
 *
 * - A reader that finds a manifest finds all its blobs, whenever a writer was killed.
 * - A blob may be shared and is deleted with its last ref. A new ref requires the check that a
 *   manifest with the blob is unchanged, so no ref can follow the last one.
 * - Leftovers of a killed writer are never visible and expire.
 *
 * Garbage collection (`gc.ts`) relies on this as well. It deletes the refs of an expired state and
 * rewrites its manifest in the same atomic write, so that checks of the manifest fail.
 */

import { InferenceError } from "../../core/errors.ts";
import type { Backend, Check, Key, Mutation } from "../backends/backend.ts";
import type { BlobReference, Blobs } from "./blobs.ts";
import { blobsOf, decodeManifest, encodeManifest, type Manifest } from "./manifest.ts";
import { refKey, refsKey, stateKey } from "../row_keys.ts";
import { assertStateId } from "./state_id.ts";

/** Time for which the manifest of an expired state remains, to distinguish it from an unknown id. */
export const TOMBSTONE_MS = 24 * 3_600_000;

/** A manifest at the time of a read or write. */
export interface StateInfo extends Readonly<Manifest> {
  /** The state's id. */
  readonly id: string;
  /** Version of the row. */
  readonly versionstamp: string;
}

export interface StateRowsOptions {
  backend: Backend;
  blobs: Blobs;
  tenant: string;
  now: () => number;
  /** Called after a change of a state's row. */
  onChange?: ((change: StateChange) => void) | undefined;
}

/** A change of a state's manifest; `null` means that it did not or does not exist. */
export interface StateChange {
  /** Id of the state. */
  readonly id: string;
  /** The previous manifest. */
  readonly before: Manifest | null;
  /** The new manifest. */
  readonly after: Manifest | null;
}

export interface PutOptions {
  /** Further checks. */
  checks?: readonly Check[] | undefined;
  /** The manifest to replace; by default the state must not exist. */
  replaces?: StateInfo | null | undefined;
  /** Further writes. */
  mutations?: readonly Mutation[] | undefined;
}

export class StateRows {
  readonly #options: StateRowsOptions;

  constructor(options: StateRowsOptions) {
    this.#options = options;
  }

  stateKey(id: string): Key {
    return stateKey(this.#options.tenant, id);
  }

  /** @throws InferenceError `state_not_found` or `state_damaged` */
  async read(id: string): Promise<StateInfo> {
    assertStateId(id);
    const entry = await this.#options.backend.get(this.stateKey(id));
    if (entry !== null) {
      return { ...decodeManifest(entry.value, id), id, versionstamp: entry.versionstamp };
    }
    throw new InferenceError(
      "state_not_found",
      `Cannot find state "${id}": no such id, or it was deleted or expired long ago`,
      { param: "state_id" },
    );
  }

  /**
   * Writes a manifest and its refs in one atomic write, which makes the blobs visible.
   *
   * @returns `null` if a check failed.
   */
  async put(
    id: string,
    manifest: Manifest,
    { checks = [], replaces = null, mutations: further = [] }: PutOptions = {},
  ): Promise<StateInfo | null> {
    assertStateId(id);
    const { backend, now } = this.#options;
    const key = this.stateKey(id);
    const lifetime = manifest.expires - now();
    const kept = new Set(blobsOf(manifest).map((blob) => blob.id));
    const mutations: Mutation[] = [
      {
        type: "set",
        key,
        value: encodeManifest(manifest),
        expireIn: Math.max(1, lifetime + TOMBSTONE_MS),
      },
      ...blobsOf(manifest).map((blob): Mutation => ({
        type: "set",
        key: this.#refKey(blob, id),
        value: new Uint8Array(),
        // Longer than the manifest: a blob without refs must not be referenced.
        expireIn: Math.max(1, lifetime + 2 * TOMBSTONE_MS),
      })),
      ...(replaces === null ? [] : blobsOf(replaces))
        .filter((blob) => !kept.has(blob.id))
        .map((blob): Mutation => ({ type: "delete", key: this.#refKey(blob, id) })),
      ...further,
    ];
    const own: Check = { key, versionstamp: replaces?.versionstamp ?? null };
    const versionstamp = await backend.atomic([own, ...checks], mutations);
    if (versionstamp !== null) {
      this.#notify({ id, before: replaces, after: manifest });
      return { ...manifest, id, versionstamp };
    }
    // If the response of an applied write was lost, its retry fails the check.
    const entry = await backend.get(key);
    if (entry !== null && decodeManifest(entry.value, id).turn.id === manifest.turn.id) {
      this.#notify({ id, before: replaces, after: manifest });
      return { ...manifest, id, versionstamp: entry.versionstamp };
    }
    return null;
  }

  /** @returns Whether the manifest was unchanged and has been deleted. */
  async delete(info: StateInfo): Promise<boolean> {
    const keys = [this.stateKey(info.id), ...blobsOf(info).map((b) => this.#refKey(b, info.id))];
    const deleted = await this.#options.backend.atomic(
      [{ key: this.stateKey(info.id), versionstamp: info.versionstamp }],
      keys.map((key) => ({ type: "delete", key })),
    );
    if (deleted !== null) this.#notify({ id: info.id, before: info, after: null });
    return deleted !== null;
  }

  #notify(change: StateChange): void {
    this.#options.onChange?.(change);
  }

  /** Deletes the `blobs` without refs. If this fails, they expire later. */
  async collect(blobs: readonly BlobReference[]): Promise<void> {
    await Promise.all(blobs.map(async (blob) => {
      try {
        if (!await this.#hasRef(blob)) await this.#options.blobs.delete(blob);
      } catch (error) {
        if (!(error instanceof InferenceError)) throw error;
      }
    }));
  }

  async #hasRef(blob: BlobReference): Promise<boolean> {
    const { backend, tenant } = this.#options;
    for await (const _ of backend.list([...refsKey(tenant), blob.id], { limit: 1 })) return true;
    return false;
  }

  #refKey(blob: BlobReference, id: string): Key {
    return refKey(this.#options.tenant, { blob: blob.id, state: id });
  }
}
