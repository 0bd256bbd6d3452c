/**
 * The state store: immutable states under unguessable ids, in any backend, and the names that lead
 * to them: conversations, and hashes of transcripts.
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
  forTenant,
  isCode,
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

/** Recurrent states in a key-value store, under unguessable ids: each is written once, and whole. */
export class StateStore {
  /** Whose states these are. */
  readonly tenant: string;
  /** Answers by their idempotency keys. */
  readonly idempotencyRecords: IdempotencyRecords;
  /** Names that move from state to state. */
  readonly conversations: Conversations;
  /** States by the transcripts that lead to them. */
  readonly prefixes: PrefixIndex;
  readonly #blobs: Blobs;
  readonly #rows: StateRows;
  readonly #writer: StateWriter;
  readonly #now: () => number;
  readonly #random: RandomBytes;
  readonly #ttl: number;
  readonly #vocabularyHash: string | undefined;
  readonly #telemetry: Telemetry;
  /** Renewals in progress, by state. */
  readonly #renewals = new Map<string, Promise<boolean>>();

  /** A store in `backend`; several workers may share one. */
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

  /**
   * A state without its bytes, of whatever model unless told. One of another vocabulary has another
   * fingerprint then. Throws as `load` does.
   */
  inspect(id: string, { model }: { model?: ModelIdentity } = {}): Promise<InspectedState> {
    return this.#steady(id, async (info) => {
      if (model) assertSameModel(info, model);
      const turn = await this.#blobs.read(info.turn);
      return { info: forTenant(info, this.#vocabularyHash), turn };
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

  /** A blob of a state that was inspected, wherever its bytes are since the state was renewed. */
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
   * Makes `id` exist before its turn is done: with the parent's state and history, and a turn that
   * says what is still to be fed. It expires no later than the parent's bytes do.
   *
   * @returns `null` if the parent has been replaced since it was loaded: load it again.
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
   * Replaces what `begin` wrote by what the turn came to, in one atomic.
   *
   * @throws InferenceError `state_not_found` if the state was deleted meanwhile
   */
  commit(begun: StateInfo, content: StateContent, names?: StateNames): Promise<StoredState> {
    return this.#writer.commit(begun, content, names);
  }

  /**
   * Stores a whole new state under `id`: a fresh one, or one whose `begin` failed.
   *
   * @param options.created Epoch milliseconds; now, unless it was made before.
   */
  save(
    content: StateContent,
    options: NewState & StateNames & { parent: string | null; created?: number },
  ): Promise<StoredState> {
    return this.#writer.save(content, options);
  }

  /**
   * Lets a state that is in use last for its time from now on, once half of that is over. Calls for
   * one state at once rewrite it once; a renewal by another worker counts as well.
   *
   * @returns Whether it had to be written anew.
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
    return await this.#steady(id, async (info) => {
      if (this.#isFresh(info)) return false;
      return await this.#writer.rewrite(info, await this.#readAll(info));
    });
  }

  /** Whether more than half of a state's time is left. */
  #isFresh({ expires, ttl = this.#ttl }: StateInfo): boolean {
    return expires - this.#now() > ttl / 2;
  }

  /**
   * Removes a state and what only it uses, kept answers that name it included.
   *
   * @throws InferenceError `state_not_found` or `store_unavailable`
   */
  async delete(id: string): Promise<void> {
    assertStateId(id);
    let seen: StateInfo | null = null;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const info: StateInfo | null = await this.#rows.read(id).catch(async (error) => {
        // Gone since the attempt before: by us, and the answer was lost, or by somebody else.
        if (seen !== null && isCode(error, "state_not_found")) return null;
        // A deletion that broke off may have left them.
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
}
