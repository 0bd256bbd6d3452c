/**
 * The state store: immutable states under unguessable ids in any backend, and the pointers to them:
 * conversations and hashes of transcripts.
 */

import { NO_TELEMETRY, type Telemetry } from "../../core/telemetry.ts";
import { DEFAULT_TENANT } from "../../core/tenant.ts";
import { IdempotencyRecords } from "../idempotency/idempotency_records.ts";
import type { Backend } from "../backends/backend.ts";
import { BlobCache } from "./blob_cache.ts";
import { type BlobReference, Blobs } from "./blobs.ts";
import { Conversations } from "./conversations.ts";
import { blobsOf, type ModelIdentity } from "./manifest.ts";
import { PrefixIndex } from "./prefix_index.ts";
import { assertStateId, newId, type RandomBytes, randomBytes } from "./state_id.ts";
import { type StateInfo, StateRows } from "./state_rows.ts";
import { StateWriter, tokensOf } from "./state_writer.ts";
import type {
  InspectedState,
  LoadedState,
  NewState,
  StateContent,
  StateNames,
  StateStoreOptions,
  StoredState,
} from "./store_types.ts";
import { assertTenant } from "../tenants.ts";
import {
  assertSameModel,
  ATTEMPTS,
  busy,
  changed,
  expired,
  isCode,
  withVocabulary,
} from "./store_errors.ts";

export type { StateChange, StateInfo } from "./state_rows.ts";
export type {
  InspectedState,
  LoadedState,
  StateContent,
  StateStoreOptions,
  StoredState,
} from "./store_types.ts";

const DAY_MS = 24 * 3_600_000;

/** Stores the recurrent states of one tenant in a key-value store. */
export class StateStore {
  /** Tenant of the states. */
  readonly tenant: string;
  /** Responses by their idempotency keys. */
  readonly idempotencyRecords: IdempotencyRecords;
  /** Conversations of the tenant. */
  readonly conversations: Conversations;
  /** States by the hashes of their transcripts. */
  readonly prefixes: PrefixIndex;
  readonly #blobs: Blobs;
  readonly #rows: StateRows;
  readonly #writer: StateWriter;
  readonly #now: () => number;
  readonly #random: RandomBytes;
  readonly #ttl: number;
  readonly #vocabularyHash: string | undefined;
  readonly #telemetry: Telemetry;
  /** Running renewals by state. */
  readonly #renewals = new Map<string, Promise<boolean>>();

  /** Creates a store in `backend`, which several workers may share. */
  constructor(backend: Backend, options: StateStoreOptions = {}) {
    const { now = Date.now, random = randomBytes, tenant = DEFAULT_TENANT } = options;
    const cache = options.cache ?? new BlobCache(options.cacheBytes ?? 0);
    assertTenant(tenant);
    this.tenant = tenant;
    this.#now = now;
    this.#random = random;
    this.#ttl = options.ttl ?? 7 * DAY_MS;
    this.#vocabularyHash = options.vocabularyHash;
    this.#telemetry = options.telemetry ?? NO_TELEMETRY;
    this.#blobs = new Blobs(backend, { tenant, now, random, cache });
    const { onChange } = options;
    this.#rows = new StateRows({ backend, blobs: this.#blobs, tenant, now, onChange });
    const { monotonic = () => performance.now() } = options;
    this.idempotencyRecords = new IdempotencyRecords({ backend, tenant, now, monotonic, random });
    this.conversations = new Conversations({ backend, tenant, now, random, ttl: this.#ttl });
    const { maxPrefixes: maxRows = 10_000 } = options;
    this.prefixes = new PrefixIndex({ backend, tenant, now, maxRows });
    this.#writer = new StateWriter({
      blobs: this.#blobs,
      rows: this.#rows,
      conversations: this.conversations,
      prefixes: this.prefixes,
      now,
      ttl: this.#ttl,
    });
  }

  /** Returns a new id for `begin` or `save`. */
  newId(): string {
    return newId("state_", this.#random);
  }

  /**
   * Loads and verifies a state, of any model unless one is given.
   *
   * @throws InferenceError `state_not_found`, `state_expired`, `model_mismatch`, `state_damaged`
   * or `store_unavailable`
   */
  load(id: string, { model }: { model?: ModelIdentity } = {}): Promise<LoadedState> {
    return this.#retryIfReplaced(id, async (info) => {
      if (model) assertSameModel(info, model);
      return { info, ...await this.#readAll(info) };
    });
  }

  /**
   * Loads a state without its bytes, of any model unless one is given. A state with another
   * vocabulary is returned with a changed fingerprint. Throws the errors of `load`.
   */
  inspect(id: string, { model }: { model?: ModelIdentity } = {}): Promise<InspectedState> {
    return this.#retryIfReplaced(id, async (info) => {
      if (model) assertSameModel(info, model);
      const turn = await this.#blobs.read(info.turn);
      return { info: withVocabulary(info, this.#vocabularyHash), turn };
    });
  }

  /** Reads the bytes of an inspected state; `null` before any token. Throws the errors of `load`. */
  async readState(info: StateInfo): Promise<Uint8Array | null> {
    return info.state && await this.#readPart(info, info.state, (blob) => this.#readBytes(blob));
  }

  /** Reads the transcript before the turn of an inspected state. Throws the errors of `load`. */
  async readHistory(info: StateInfo): Promise<Uint8Array | null> {
    return info.history ? await this.#readPart(info, info.history) : null;
  }

  /** Reads the note of an inspected state. Throws the errors of `load`. */
  async readNote(info: StateInfo): Promise<Uint8Array | null> {
    return info.note ? await this.#readPart(info, info.note) : null;
  }

  /** Reads a blob of an inspected state, even if the state was renewed since. */
  async #readPart(
    seen: StateInfo,
    blob: BlobReference,
    read = (blob: BlobReference) => this.#blobs.read(blob),
  ): Promise<Uint8Array> {
    let [info, wanted] = [seen, blob];
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        return await read(wanted);
      } catch (error) {
        if (!isCode(error, "state_damaged")) throw error;
        const current = await this.#rows.read(seen.id);
        if (current.versionstamp === info.versionstamp) throw error;
        const same = blobsOf(current).find(({ sha256 }) => sha256 === blob.sha256);
        if (same === undefined) throw changed(seen.id);
        [info, wanted] = [current, same];
      }
    }
    throw busy(seen.id);
  }

  /**
   * Creates `id` before its turn has finished, with the state and history of the parent and a turn
   * with the pending tokens. It expires no later than the bytes of the parent.
   *
   * @returns `null` if the parent was replaced since it was loaded, and must be loaded again.
   * @throws InferenceError `state_not_found` if it has been deleted, or `store_unavailable`
   */
  begin(
    parent: StateInfo | null,
    turn: Uint8Array,
    options: NewState & Pick<StateContent, "note">,
  ): Promise<StateInfo | null> {
    return this.#writer.begin(parent, turn, options);
  }

  /**
   * Replaces the result of `begin` with the result of the turn in one atomic write.
   *
   * @throws InferenceError `state_not_found` if the state was deleted
   */
  commit(begun: StateInfo, content: StateContent, names?: StateNames): Promise<StoredState> {
    return this.#writer.commit(begun, content, names);
  }

  /**
   * Stores a complete new state under `id`: a new id, or one whose `begin` failed.
   *
   * @param options.created Epoch milliseconds; now by default.
   */
  save(
    content: StateContent,
    options: NewState & StateNames & { parent: string | null; created?: number },
  ): Promise<StoredState> {
    return this.#writer.save(content, options);
  }

  /**
   * Extends the lifetime of a used state if less than half of it is left. Concurrent calls for one
   * state rewrite it once; a renewal by another worker counts as well.
   *
   * @returns Whether the state was rewritten.
   */
  async renew(info: StateInfo): Promise<boolean> {
    if (this.#isFresh(info)) return false;
    const { id } = info;
    let renewal = this.#renewals.get(id);
    if (renewal === undefined) {
      renewal = this.#renew(id).finally(() => this.#renewals.delete(id));
      this.#renewals.set(id, renewal);
    }
    return await renewal;
  }

  async #renew(id: string): Promise<boolean> {
    return await this.#retryIfReplaced(id, async (info) => {
      if (this.#isFresh(info)) return false;
      return await this.#writer.rewrite(info, await this.#readAll(info));
    });
  }

  /** Returns whether more than half of a state's lifetime is left. */
  #isFresh({ expires, ttl = this.#ttl }: StateInfo): boolean {
    return expires - this.#now() > ttl / 2;
  }

  /**
   * Deletes a state, blobs that only it references, and responses that name it.
   *
   * @throws InferenceError `state_not_found` or `store_unavailable`
   */
  async delete(id: string): Promise<void> {
    assertStateId(id);
    let seen: StateInfo | null = null;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const info: StateInfo | null = await this.#rows.read(id).catch(async (error) => {
        // Deleted since the previous attempt: by this write whose response was lost, or by another.
        if (seen !== null && isCode(error, "state_not_found")) return null;
        // An interrupted deletion may have left responses behind.
        if (isCode(error, "state_not_found")) await this.idempotencyRecords.forget(id);
        throw error;
      });
      if (info !== null) seen = info;
      if (info !== null && !await this.#rows.delete(info)) continue;
      await this.#rows.collect(blobsOf(seen!));
      if (seen!.prefix !== undefined) await this.prefixes.forget(seen!.prefix, id);
      await this.idempotencyRecords.forget(id);
      return;
    }
    throw busy(id);
  }

  async #readBytes(state: BlobReference): Promise<Uint8Array> {
    const from = this.#blobs.isCached(state) ? "memory" : "store";
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

  /** Runs `use` on a manifest, and again if its blobs are missing because it was replaced. */
  async #retryIfReplaced<T>(id: string, use: (info: StateInfo) => Promise<T>): Promise<T> {
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
}
