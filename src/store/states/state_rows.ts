/**
 * The rows of states: `[tenant, "state", id]` the manifest, and `[tenant, "ref", blob, id]` for every
 * blob that a manifest names. Manifest and refs change in one atomic, after the blobs are there and
 * before any are deleted. So
 *
 * - whoever finds a manifest finds everything it names, whenever a writer was killed;
 * - a blob may be shared, and goes with its last ref: a new ref is only ever written while a
 *   manifest that holds the blob is checked to be unchanged, so none can come after the last;
 * - what a killed writer leaves behind is never visible, and expires.
 *
 * Garbage collection (`gc.ts`) relies on this too. It takes the refs of an expired state, and writes
 * its manifest anew in the same atomic, so that no check of it holds any more.
 */

import { InferenceError } from "../../core/errors.ts";
import type { Backend, Check, Key, Mutation } from "../backends/backend.ts";
import type { BlobReference, Blobs } from "./blobs.ts";
import { blobsOf, decodeManifest, encodeManifest, type Manifest } from "./manifest.ts";
import { refKey, refsKey, stateKey } from "../row_keys.ts";
import { assertStateId } from "./state_id.ts";

/** An expired state's manifest stays this long, so that it can be told from an unknown one. */
export const TOMBSTONE_MS = 24 * 3_600_000;

/** A manifest as it stood when it was read or written. */
export interface StateInfo extends Readonly<Manifest> {
  /** The state's id. */
  readonly id: string;
  /** Of the row. */
  readonly versionstamp: string;
}

export interface StateRowsOptions {
  backend: Backend;
  blobs: Blobs;
  tenant: string;
  now: () => number;
  /** Told what has become of a state's row. */
  onChange?: ((change: StateChange) => void) | undefined;
}

/** A state's manifest as it was and as it is now; `null`: it was not there, or has gone. */
export interface StateChange {
  /** The state's. */
  readonly id: string;
  /** As it was. */
  readonly before: Manifest | null;
  /** As it is now. */
  readonly after: Manifest | null;
}

export interface PutOptions {
  /** What else must hold. */
  checks?: readonly Check[] | undefined;
  /** The manifest that this one takes the place of; a new one unless given. */
  replaces?: StateInfo | null | undefined;
  /** What else is to be written. */
  also?: readonly Mutation[] | undefined;
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
   * Writes a manifest and its refs in one atomic: the commit of everything before.
   *
   * @returns `null` if a check failed.
   */
  async put(
    id: string,
    manifest: Manifest,
    { checks = [], replaces = null, also = [] }: PutOptions = {},
  ): Promise<StateInfo | null> {
    assertStateId(id);
    const { backend, now } = this.#options;
    const key = this.stateKey(id);
    const lasts = manifest.expires - now();
    const kept = new Set(blobsOf(manifest).map((blob) => blob.id));
    const mutations: Mutation[] = [
      {
        type: "set",
        key,
        value: encodeManifest(manifest),
        expireIn: Math.max(1, lasts + TOMBSTONE_MS),
      },
      ...blobsOf(manifest).map((blob): Mutation => ({
        type: "set",
        key: this.#refKey(blob, id),
        value: new Uint8Array(),
        // Longer than the manifest: a blob without refs is one that nothing names.
        expireIn: Math.max(1, lasts + 2 * TOMBSTONE_MS),
      })),
      ...(replaces === null ? [] : blobsOf(replaces))
        .filter((blob) => !kept.has(blob.id))
        .map((blob): Mutation => ({ type: "delete", key: this.#refKey(blob, id) })),
      ...also,
    ];
    const own: Check = { key, versionstamp: replaces?.versionstamp ?? null };
    const versionstamp = await backend.atomic([own, ...checks], mutations);
    if (versionstamp !== null) {
      this.#tell({ id, before: replaces, after: manifest });
      return { ...manifest, id, versionstamp };
    }
    // A write whose answer was lost and that was tried again fails its own check.
    const entry = await backend.get(key);
    if (entry !== null && decodeManifest(entry.value, id).turn.id === manifest.turn.id) {
      this.#tell({ id, before: replaces, after: manifest });
      return { ...manifest, id, versionstamp: entry.versionstamp };
    }
    return null;
  }

  /** @returns Whether the manifest was still the one given. */
  async delete(info: StateInfo): Promise<boolean> {
    const keys = [this.stateKey(info.id), ...blobsOf(info).map((b) => this.#refKey(b, info.id))];
    const deleted = await this.#options.backend.atomic(
      [{ key: this.stateKey(info.id), versionstamp: info.versionstamp }],
      keys.map((key) => ({ type: "delete", key })),
    );
    if (deleted !== null) this.#tell({ id: info.id, before: info, after: null });
    return deleted !== null;
  }

  #tell(change: StateChange): void {
    this.#options.onChange?.(change);
  }

  /** Deletes those of `blobs` that nobody refers to. What fails here expires later. */
  async collect(blobs: readonly BlobReference[]): Promise<void> {
    await Promise.all(blobs.map(async (blob) => {
      try {
        if (!await this.#isReferred(blob)) await this.#options.blobs.delete(blob);
      } catch (error) {
        if (!(error instanceof InferenceError)) throw error;
      }
    }));
  }

  async #isReferred(blob: BlobReference): Promise<boolean> {
    const { backend, tenant } = this.#options;
    for await (const _ of backend.list([...refsKey(tenant), blob.id], { limit: 1 })) return true;
    return false;
  }

  #refKey(blob: BlobReference, id: string): Key {
    return refKey(this.#options.tenant, { blob: blob.id, state: id });
  }
}
