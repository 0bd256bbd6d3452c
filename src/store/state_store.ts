/**
 * The state store: immutable states under unguessable ids, in any backend, and the names that lead
 * to them: conversations, and hashes of transcripts.
 */

import { InferenceError } from "../core/errors.ts";
import { SILENT, type Telemetry } from "../core/telemetry.ts";
import { DEFAULT_TENANT } from "../core/tenant.ts";
import { Answers } from "./answers.ts";
import type { Backend, Check } from "./backend.ts";
import { BlobCache } from "./blob_cache.ts";
import { type BlobReference, Blobs } from "./blobs.ts";
import { Conversations } from "./conversations.ts";
import { blobsOf, identityOf, type Manifest, type ModelIdentity } from "./manifest.ts";
import { PrefixIndex } from "./prefix_index.ts";
import { newId, type RandomBytes, randomBytes } from "./state_id.ts";
import { type StateInfo, StateRows } from "./state_rows.ts";
import type {
  InspectedState,
  LoadedState,
  NewState,
  StateContent,
  StateNames,
  StateStoreOptions,
  StoredState,
} from "./store_types.ts";
import { assertTenant } from "./tenants.ts";
import { assertSameModel, ATTEMPTS, busy, changed, expired, isCode } from "./store_errors.ts";

export type { StateChange, StateInfo } from "./state_rows.ts";
export type {
  InspectedState,
  LoadedState,
  StateContent,
  StateStoreOptions,
  StoredState,
} from "./store_types.ts";

const DAY_MS = 24 * 3_600_000;

/** Recurrent states in a key-value store, under unguessable ids: each is written once, and whole. */
export class StateStore {
  /** Whose states these are. */
  readonly tenant: string;
  /** Answers by their idempotency keys. */
  readonly answers: Answers;
  /** Names that move from state to state. */
  readonly conversations: Conversations;
  /** States by the transcripts that lead to them. */
  readonly prefixes: PrefixIndex;
  readonly #blobs: Blobs;
  readonly #rows: StateRows;
  readonly #now: () => number;
  readonly #random: RandomBytes;
  readonly #ttl: number;
  readonly #telemetry: Telemetry;

  /** A store in `backend`; several workers may share one. */
  constructor(backend: Backend, options: StateStoreOptions = {}) {
    const { now = Date.now, random = randomBytes, tenant = DEFAULT_TENANT } = options;
    const cache = options.cache ?? new BlobCache(options.cacheBytes ?? 0);
    assertTenant(tenant);
    this.tenant = tenant;
    this.#now = now;
    this.#random = random;
    this.#ttl = options.ttl ?? 7 * DAY_MS;
    this.#telemetry = options.telemetry ?? SILENT;
    this.#blobs = new Blobs(backend, { tenant, now, random, cache });
    const { onChange } = options;
    this.#rows = new StateRows({ backend, blobs: this.#blobs, tenant, now, onChange });
    this.answers = new Answers({ backend, tenant, now, random });
    this.conversations = new Conversations({ backend, tenant, now, random, ttl: this.#ttl });
    const { maxPrefixes: maxRows = 10_000 } = options;
    this.prefixes = new PrefixIndex({ backend, tenant, now, maxRows });
  }

  /** A fresh id, for `begin` or `save`. */
  newId(): string {
    return newId("state_", this.#random);
  }

  /**
   * Everything about a state, verified; of whatever model unless told.
   *
   * @throws InferenceError `state_not_found`, `state_expired`, `model_mismatch`, `state_damaged`
   * or `store_unavailable`
   */
  load(id: string, { model }: { model?: ModelIdentity } = {}): Promise<LoadedState> {
    return this.#steady(id, async (info) => {
      if (model) assertSameModel(info, model);
      return { info, ...await this.#readAll(info) };
    });
  }

  /** A state without its bytes, of whatever model unless told. Throws as `load` does. */
  inspect(id: string, { model }: { model?: ModelIdentity } = {}): Promise<InspectedState> {
    return this.#steady(id, async (info) => {
      if (model) assertSameModel(info, model);
      return { info, turn: await this.#blobs.read(info.turn) };
    });
  }

  /** The bytes of a state that was inspected; `null`: before any token. Throws as `load` does. */
  async readState(info: StateInfo): Promise<Uint8Array | null> {
    return info.state && await this.#readPart(info, info.state, (blob) => this.#readBytes(blob));
  }

  /** What came before the turn of a state that was inspected. Throws as `load` does. */
  async readHistory(info: StateInfo): Promise<Uint8Array | null> {
    return info.history ? await this.#readPart(info, info.history) : null;
  }

  /** What is kept for the client of a state that was inspected. Throws as `load` does. */
  async readNote(info: StateInfo): Promise<Uint8Array | null> {
    return info.note ? await this.#readPart(info, info.note) : null;
  }

  async #readPart(
    info: StateInfo,
    blob: BlobReference,
    read = (blob: BlobReference) => this.#blobs.read(blob),
  ): Promise<Uint8Array> {
    try {
      return await read(blob);
    } catch (error) {
      if (!isCode(error, "state_damaged")) throw error;
      const { versionstamp } = await this.#rows.read(info.id);
      throw versionstamp === info.versionstamp ? error : changed(info.id);
    }
  }

  /**
   * Makes `id` exist before its turn is done: with the parent's state and history, and a turn that
   * says what is still to be fed. It expires no later than the parent's bytes do.
   *
   * @returns `null` if the parent has been replaced since it was loaded: load it again.
   * @throws InferenceError `state_not_found` if it has been deleted, or `store_unavailable`
   */
  async begin(
    parent: StateInfo | null,
    turn: Uint8Array,
    { id, model, ttl = this.#ttl, note }: NewState & Pick<StateContent, "note">,
  ): Promise<StateInfo | null> {
    const now = this.#now();
    const { state = null, history } = parent ?? {};
    const shared = [state, history].map((blob) => blob?.expires ?? Infinity);
    const expires = Math.min(now + ttl, ...shared);
    const [turnBlob, noteBlob] = await Promise.all([
      this.#blobs.write(turn, expires),
      note ? this.#blobs.write(note, expires) : null,
    ]);
    const manifest: Manifest = {
      version: 1,
      model: identityOf(model),
      created: now,
      expires,
      ttl,
      parent: parent?.id ?? null,
      open: true,
      ...tokensOf(parent ?? { tokens: 0 }),
      state,
      turn: turnBlob,
      ...(history === undefined ? {} : { history }),
      ...(noteBlob === null ? {} : { note: noteBlob }),
    };
    const checks = parent === null ? [] : [this.#unchanged(parent)];
    const info = await this.#rows.put(id, manifest, { checks });
    if (info !== null) return info;
    await this.#rows.collect([turnBlob, noteBlob ?? []].flat());
    if (parent !== null) await this.#rows.read(parent.id);
    return null;
  }

  /**
   * Replaces what `begin` wrote by what the turn came to, in one atomic.
   *
   * @throws InferenceError `state_not_found` if the state was deleted meanwhile
   */
  async commit(begun: StateInfo, content: StateContent, names?: StateNames): Promise<StoredState> {
    const manifest = await this.#write(content, begun);
    const stored = await this.#put(begun.id, manifest, { replaces: begun, names });
    if (stored === null) {
      throw new InferenceError(
        "state_not_found",
        `Cannot store state "${begun.id}": it was deleted while its turn was running`,
        { param: "state_id" },
      );
    }
    await this.#rows.collect(blobsOf(begun));
    return stored;
  }

  /**
   * Stores a whole new state under `id`: a fresh one, or one whose `begin` failed.
   *
   * @param options.created Epoch milliseconds; now, unless it was made before.
   */
  async save(
    content: StateContent,
    { id, model, parent, created = Infinity, ttl = this.#ttl, ...names }:
      & NewState
      & StateNames
      & { parent: string | null; created?: number },
  ): Promise<StoredState> {
    const made = Math.min(created, this.#now());
    const manifest = await this.#write(content, { model, parent, created: made, ttl });
    const stored = await this.#put(id, manifest, { replaces: null, names });
    // It may have begun all the same: the answer was lost.
    return stored ?? await this.commit(await this.#rows.read(id), content, names);
  }

  /**
   * Lets a state that is in use last for its time from now on, once half of that is over.
   *
   * @returns Whether it had to be written anew.
   */
  async renew({ id, expires, ttl = this.#ttl }: StateInfo): Promise<boolean> {
    const lasting = (until: number) => until - this.#now() > ttl / 2;
    if (lasting(expires)) return false;
    return await this.#steady(id, async (info) => {
      if (lasting(info.expires)) return false;
      const manifest = await this.#write(await this.#readAll(info), info);
      const { prefix } = info;
      const stored = await this.#put(id, manifest, { replaces: info, names: { prefix } });
      if (stored) await this.#rows.collect(blobsOf(info));
      return stored !== null;
    });
  }

  /**
   * Removes a state and what only it uses.
   *
   * @throws InferenceError `state_not_found` or `store_unavailable`
   */
  async delete(id: string): Promise<void> {
    let seen: StateInfo | null = null;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const info: StateInfo | null = await this.#rows.read(id).catch((error) => {
        // Gone since the attempt before: by us, and the answer was lost, or by somebody else.
        if (seen !== null && isCode(error, "state_not_found")) return null;
        throw error;
      });
      if (info !== null) seen = info;
      if (info !== null && !await this.#rows.delete(info)) continue;
      await this.#rows.collect(blobsOf(seen!));
      if (seen!.prefix !== undefined) await this.prefixes.forget(seen!.prefix, id);
      return;
    }
    throw busy(id);
  }

  async #readBytes(state: BlobReference): Promise<Uint8Array> {
    const from = this.#blobs.holds(state) ? "memory" : "store";
    const start = performance.now();
    const bytes = await this.#blobs.read(state);
    this.#telemetry.stateLoaded(from, bytes.length, (performance.now() - start) / 1000);
    return bytes;
  }

  async #readAll({ state, turn, history, note, ...info }: StateInfo): Promise<StateContent> {
    const [own, turnBytes, before, kept] = await Promise.all([
      state && this.#readBytes(state),
      this.#blobs.read(turn),
      history ? this.#blobs.read(history) : null,
      note ? this.#blobs.read(note) : null,
    ]);
    return {
      state: own,
      turn: turnBytes,
      history: before,
      ...(kept === null ? {} : { note: kept }),
      open: info.open,
      ...tokensOf(info),
    };
  }

  /** Writes the blobs of a state, and the manifest that is to name them. */
  async #write(
    { state, turn, history, note, open, tokens }: StateContent,
    { model, parent, created, ttl = this.#ttl }: Pick<
      Manifest,
      "model" | "parent" | "created" | "ttl"
    >,
  ): Promise<Manifest> {
    const expires = this.#now() + ttl;
    const [stateBlob, turnBlob, historyBlob, noteBlob] = await Promise.all([
      state && this.#blobs.write(state, expires),
      this.#blobs.write(turn, expires),
      history?.length ? this.#blobs.write(history, expires) : null,
      note?.length ? this.#blobs.write(note, expires) : null,
    ]);
    return {
      version: 1,
      model: identityOf(model),
      created,
      expires,
      ttl,
      parent,
      open,
      ...tokensOf({ tokens }),
      state: stateBlob,
      turn: turnBlob,
      ...(historyBlob === null ? {} : { history: historyBlob }),
      ...(noteBlob === null ? {} : { note: noteBlob }),
    };
  }

  /**
   * Writes a manifest with what leads to it. If its conversation has moved meanwhile, it stays there.
   *
   * @returns `null` if the manifest to replace was not there; the blobs of the new one are gone then.
   */
  async #put(
    id: string,
    manifest: Manifest,
    { replaces, names: { prefix, conversation } = {} }: {
      replaces: StateInfo | null;
      names?: StateNames | undefined;
    },
  ): Promise<StoredState | null> {
    const named: Manifest = prefix === undefined ? manifest : { ...manifest, prefix };
    const lasts = Math.max(1, manifest.expires - this.#now());
    const also = prefix === undefined ? [] : this.prefixes.rows(prefix, id, lasts);
    if (conversation !== undefined) {
      const { check, mutation } = this.conversations.move(conversation, id, lasts);
      const info = await this.#rows.put(id, named, {
        replaces,
        checks: [check],
        also: [...also, mutation],
      });
      if (info !== null) return { ...info, moved: true };
    }
    const info = await this.#rows.put(id, named, { replaces, also });
    if (info !== null) return { ...info, moved: conversation === undefined };
    await this.#rows.collect(blobsOf(manifest));
    return null;
  }

  /** Runs `use` on a live manifest; again, if what it names went because it was replaced. */
  async #steady<T>(id: string, use: (info: StateInfo) => Promise<T>): Promise<T> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const info = await this.#rows.read(id);
      if (info.expires <= this.#now()) throw expired(info);
      try {
        return await use(info);
      } catch (error) {
        if (!isCode(error, "state_damaged")) throw error;
        const { versionstamp } = await this.#rows.read(id);
        if (versionstamp === info.versionstamp) throw error;
      }
    }
    throw busy(id);
  }

  #unchanged({ id, versionstamp }: StateInfo): Check {
    return { key: this.#rows.stateKey(id), versionstamp };
  }
}

function tokensOf({ tokens }: Pick<StateContent, "tokens">): Pick<Manifest, "tokens"> {
  return tokens === undefined ? {} : { tokens };
}
