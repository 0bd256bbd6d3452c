/**
 * The state store: immutable states under unguessable ids, in any backend.
 *
 * Keys: `[tenant, "blob", blob, i]` chunks, `[tenant, "state", id]` the manifest, and
 * `[tenant, "ref", blob, id]` for every blob that a manifest names. Manifest and refs change in
 * one atomic, after the chunks are there and before any are deleted. So
 *
 * - whoever finds a manifest finds everything it names, whenever a writer was killed;
 * - a blob may be shared, and goes with its last ref: a new ref is only ever written while a
 *   manifest that holds the blob is checked to be unchanged, so none can come after the last;
 * - what a killed writer leaves behind is never visible, and expires.
 */

import { type ErrorCode, InferenceError } from "../core/errors.ts";
import type { Backend, Check, Key, Mutation } from "./backend.ts";
import { type BlobReference, Blobs } from "./blobs.ts";
import {
  blobsOf,
  decodeManifest,
  encodeManifest,
  type Manifest,
  type ModelIdentity,
} from "./manifest.ts";
import { assertStateId, newId, type RandomBytes, randomBytes } from "./state_id.ts";

const DAY_MS = 24 * 3_600_000;
/** An expired state's manifest stays this long, so that it can be told from an unknown one. */
const TOMBSTONE_MS = DAY_MS;
/** How often a read or delete starts over when the state is replaced under it. */
const ATTEMPTS = 5;

export interface StateStoreOptions {
  /** Epoch milliseconds. */
  now?: (() => number) | undefined;
  random?: RandomBytes | undefined;
  /** Milliseconds that a state lasts. */
  ttl?: number | undefined;
  tenant?: string | undefined;
}

/** What a state consists of. */
export interface StateContent {
  /** `null` is the state before any token. */
  state: Uint8Array | null;
  turn: Uint8Array;
  /** Whether the reply is unfinished. */
  open: boolean;
}

/** A manifest as it stood when it was read or written. */
export interface StateInfo extends Readonly<Manifest> {
  readonly id: string;
  readonly versionstamp: string;
}

/** A state but for its bytes. */
export interface InspectedState {
  info: StateInfo;
  turn: Uint8Array;
}

export interface LoadedState extends StateContent {
  info: StateInfo;
}

export class StateStore {
  readonly #backend: Backend;
  readonly #blobs: Blobs;
  readonly #now: () => number;
  readonly #random: RandomBytes;
  readonly #ttl: number;
  readonly #tenant: string;

  constructor(backend: Backend, options: StateStoreOptions = {}) {
    this.#backend = backend;
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? randomBytes;
    this.#ttl = options.ttl ?? 7 * DAY_MS;
    this.#tenant = options.tenant ?? "default";
    this.#blobs = new Blobs(backend, {
      tenant: this.#tenant,
      now: this.#now,
      random: this.#random,
    });
  }

  /** A fresh id, for `begin` or `save`. */
  newId(): string {
    return newId("state_", this.#random);
  }

  /**
   * Everything about a state, verified.
   *
   * @throws InferenceError `state_not_found`, `state_expired`, `model_mismatch`, `state_damaged`
   * or `store_unavailable`
   */
  load(id: string, { model }: { model: ModelIdentity }): Promise<LoadedState> {
    return this.#steady(id, async (info) => {
      assertSameModel(info, model);
      const [state, turn] = await Promise.all([
        info.state && this.#blobs.read(info.state),
        this.#blobs.read(info.turn),
      ]);
      return { info, state, turn, open: info.open };
    });
  }

  /** A state without its bytes, of whatever model unless told. Throws as `load` does. */
  inspect(id: string, { model }: { model?: ModelIdentity } = {}): Promise<InspectedState> {
    return this.#steady(id, async (info) => {
      if (model) assertSameModel(info, model);
      return { info, turn: await this.#blobs.read(info.turn) };
    });
  }

  /** The bytes of a state that was inspected. Throws as `load` does. */
  async readState(info: StateInfo): Promise<Uint8Array | null> {
    if (info.state === null) return null;
    try {
      return await this.#blobs.read(info.state);
    } catch (error) {
      if (!isCode(error, "state_damaged")) throw error;
      const { versionstamp } = await this.#read(info.id);
      throw versionstamp === info.versionstamp ? error : changed(info.id);
    }
  }

  /**
   * Makes `id` exist before its turn is done: with the parent's state, and a turn that says what
   * is still to be fed to it. It expires no later than the parent's bytes do.
   *
   * @returns `null` if the parent has been replaced since it was loaded: load it again.
   * @throws InferenceError `state_not_found` if it has been deleted, or `store_unavailable`
   */
  async begin(
    parent: StateInfo | null,
    turn: Uint8Array,
    { id, model }: { id: string; model: ModelIdentity },
  ): Promise<StateInfo | null> {
    const now = this.#now();
    const state = parent?.state ?? null;
    const expires = Math.min(now + this.#ttl, state?.expires ?? Infinity);
    const turnBlob = await this.#blobs.write(turn, expires);
    const manifest: Manifest = {
      version: 1,
      model: identityOf(model),
      created: now,
      expires,
      parent: parent?.id ?? null,
      open: true,
      state,
      turn: turnBlob,
    };
    const checks = parent === null
      ? []
      : [{ key: this.#stateKey(parent.id), versionstamp: parent.versionstamp }];
    const info = await this.#put(id, manifest, { checks, replaces: null });
    if (info === null && parent !== null) await this.#read(parent.id);
    return info;
  }

  /**
   * Replaces what `begin` wrote by what the turn came to, in one atomic.
   *
   * @throws InferenceError `state_not_found` if the state was deleted meanwhile
   */
  async commit(begun: StateInfo, content: StateContent): Promise<StateInfo> {
    const manifest = await this.#write(content, begun);
    const info = await this.#put(begun.id, manifest, { checks: [], replaces: begun });
    if (info === null) {
      throw new InferenceError(
        "state_not_found",
        `Cannot store state "${begun.id}": it was deleted while its turn was running`,
        { param: "state_id" },
      );
    }
    await this.#collect(blobsOf(begun));
    return info;
  }

  /** Stores a whole new state under `id`, a fresh one. */
  async save(
    content: StateContent,
    { id, model, parent }: { id: string; model: ModelIdentity; parent: string | null },
  ): Promise<StateInfo> {
    const manifest = await this.#write(content, { model, parent, created: this.#now() });
    const info = await this.#put(id, manifest, { checks: [], replaces: null });
    if (info === null) throw new Error(`State id "${id}" is taken`);
    return info;
  }

  /** @throws InferenceError `state_not_found` or `store_unavailable` */
  async delete(id: string): Promise<void> {
    let seen: StateInfo | null = null;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const info: StateInfo | null = await this.#read(id).catch((error) => {
        // Gone since the attempt before: by us, and the answer was lost, or by somebody else.
        if (seen !== null && isCode(error, "state_not_found")) return null;
        throw error;
      });
      if (info === null) return await this.#collect(blobsOf(seen!));
      seen = info;
      const deleted = await this.#backend.atomic(
        [{ key: this.#stateKey(id), versionstamp: info.versionstamp }],
        [this.#stateKey(id), ...blobsOf(info).map((blob) => this.#refKey(blob, id))]
          .map((key) => ({ type: "delete", key })),
      );
      if (deleted === null) continue;
      await this.#collect(blobsOf(info));
      return;
    }
    throw busy(id);
  }

  /** Writes the blobs of a state, and the manifest that is to name them. */
  async #write(
    { state, turn, open }: StateContent,
    { model, parent, created }: Pick<Manifest, "model" | "parent" | "created">,
  ): Promise<Manifest> {
    const expires = this.#now() + this.#ttl;
    return {
      version: 1,
      model: identityOf(model),
      created,
      expires,
      parent,
      open,
      state: state && await this.#blobs.write(state, expires),
      turn: await this.#blobs.write(turn, expires),
    };
  }

  /**
   * Writes a manifest and its refs in one atomic: the commit of everything before.
   *
   * @returns `null` if a check failed; the blobs of the manifest are gone then.
   */
  async #put(
    id: string,
    manifest: Manifest,
    { checks, replaces }: { checks: Check[]; replaces: StateInfo | null },
  ): Promise<StateInfo | null> {
    assertStateId(id);
    const key = this.#stateKey(id);
    const lasts = manifest.expires - this.#now();
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
    ];
    const own: Check = { key, versionstamp: replaces?.versionstamp ?? null };
    const versionstamp = await this.#backend.atomic([own, ...checks], mutations);
    if (versionstamp !== null) return { ...manifest, id, versionstamp };
    // A write whose answer was lost and that was tried again fails its own check.
    const entry = await this.#backend.get(key);
    if (entry !== null && decodeManifest(entry.value, id).turn.id === manifest.turn.id) {
      return { ...manifest, id, versionstamp: entry.versionstamp };
    }
    await this.#collect(blobsOf(manifest));
    return null;
  }

  /** Deletes those of `blobs` that nobody refers to. What fails here expires later. */
  async #collect(blobs: readonly BlobReference[]): Promise<void> {
    for (const blob of blobs) {
      try {
        if (!await this.#isReferred(blob)) await this.#blobs.delete(blob);
      } catch (error) {
        if (!(error instanceof InferenceError)) throw error;
      }
    }
  }

  async #isReferred(blob: BlobReference): Promise<boolean> {
    const prefix = [this.#tenant, "ref", blob.id];
    for await (const _ of this.#backend.list(prefix, { limit: 1 })) return true;
    return false;
  }

  /** Runs `use` on a live manifest; again, if what it names went because it was replaced. */
  async #steady<T>(id: string, use: (info: StateInfo) => Promise<T>): Promise<T> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const info = await this.#read(id);
      if (info.expires <= this.#now()) throw expired(info);
      try {
        return await use(info);
      } catch (error) {
        if (!isCode(error, "state_damaged")) throw error;
        const { versionstamp } = await this.#read(id);
        if (versionstamp === info.versionstamp) throw error;
      }
    }
    throw busy(id);
  }

  /** @throws InferenceError `state_not_found` */
  async #read(id: string): Promise<StateInfo> {
    assertStateId(id);
    const entry = await this.#backend.get(this.#stateKey(id));
    if (entry === null) {
      throw new InferenceError(
        "state_not_found",
        `Cannot find state "${id}": no such id, or it was deleted or expired long ago`,
        { param: "state_id" },
      );
    }
    return { ...decodeManifest(entry.value, id), id, versionstamp: entry.versionstamp };
  }

  #stateKey(id: string): Key {
    return [this.#tenant, "state", id];
  }

  #refKey(blob: BlobReference, id: string): Key {
    return [this.#tenant, "ref", blob.id, id];
  }
}

/** Nothing but what a manifest holds. */
function identityOf({ id, fingerprint, quant }: ModelIdentity): ModelIdentity {
  return { id, fingerprint, ...(quant === undefined ? {} : { quant }) };
}

function assertSameModel(info: StateInfo, model: ModelIdentity): void {
  if (info.model.fingerprint === model.fingerprint) return;
  const name = ({ id, fingerprint }: ModelIdentity) => `"${id}" (${fingerprint})`;
  throw new InferenceError(
    "model_mismatch",
    `Cannot resume state "${info.id}": it belongs to model ${name(info.model)}, ` +
      `this worker runs ${name(model)}`,
    { param: "state_id" },
  );
}

function expired({ id, expires }: StateInfo): InferenceError {
  const when = new Date(expires).toISOString();
  return new InferenceError("state_expired", `Cannot resume state "${id}": it expired at ${when}`, {
    param: "state_id",
  });
}

function isCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof InferenceError && error.code === code;
}

function changed(id: string): InferenceError {
  return new InferenceError(
    "store_unavailable",
    `Cannot read state "${id}": it was replaced before it could be read; try again`,
    { param: "state_id" },
  );
}

function busy(id: string): InferenceError {
  return new InferenceError(
    "store_unavailable",
    `Cannot read state "${id}": it changed ${ATTEMPTS} times while it was read`,
    { param: "state_id" },
  );
}
