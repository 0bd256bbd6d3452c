/**
 * Answers that are given once: a request that is sent again under the same key gets what the first
 * one got. `[tenant, "idempotency", hash of route and key]` is claimed before the work is done, by
 * an atomic that only one wins, and holds where the answer lies once it is complete. A claim that
 * is not renewed may be taken over, so that a worker that is killed blocks nobody for long: by a
 * worker that has seen the same version of the row for 30 seconds of its own time, since clocks of
 * two machines may differ by any amount.
 *
 * The answer lies in chunks `[tenant, "answer", id, i]`, apart from the blobs of states: it is one
 * row's, and expires with it. `[tenant, "answer-of", state, hash]` leads from a state that an answer
 * names to the answer's row, so that deleting the state deletes its text there as well.
 */

import { toHex } from "../../core/hex.ts";
import { sha256 } from "../../core/sha256.ts";
import {
  decodeIdempotencyRow,
  encodeIdempotencyRow,
  type IdempotencyRow,
  inProgress,
  keyReused,
  responseMissing,
} from "./idempotency_rows.ts";
import type { Backend, Entry, Key, Mutation } from "../backends/backend.ts";
import { Blobs } from "../states/blobs.ts";
import { idempotencyKey, idempotencyOfStateKey, stateKey } from "../row_keys.ts";
import type { IdempotentRequest } from "./idempotent_request.ts";
import { newId, type RandomBytes } from "../states/state_id.ts";

/** Milliseconds that an answer is given again. */
export const RECORD_TTL_MS = 24 * 3_600_000;
/** Milliseconds for which a worker must see a claim unchanged before it may take it over. */
export const CLAIM_MS = 30_000;
/** Claims of others whose age is remembered at most. */
const MOST_SEEN = 10_000;
/** How often a claim is tried while the key changes hands. */
const ATTEMPTS = 8;

export interface IdempotencyRecordsOptions {
  backend: Backend;
  tenant: string;
  now: () => number;
  /** Milliseconds that only ever grow, from any beginning. */
  monotonic: () => number;
  random: RandomBytes;
}

/** The right to answer, until it runs out. */
export interface Claim {
  /** Shows others that its worker lives; tells whether it is still held. */
  renew(): Promise<boolean>;
  /**
   * Lets the key lead to an answer; nobody may change `bytes` any more. It goes with the first of
   * `states` that is deleted.
   */
  complete(bytes: Uint8Array, states?: readonly string[]): Promise<void>;
  /** Keeps nothing of an answer but that it was given, and the state that has its text. */
  completeWithout(states?: readonly string[]): Promise<void>;
  /** Lets the next request have the key. */
  release(): Promise<void>;
}

/** Requests with a key, each answered once. */
export class IdempotencyRecords {
  readonly #options: IdempotencyRecordsOptions;
  readonly #blobs: Blobs;
  /** Claims of other requests, by hash: which version was seen, and since when. */
  readonly #seen = new Map<string, { versionstamp: string; since: number }>();

  /** Answers of one tenant in a backend. */
  constructor(options: IdempotencyRecordsOptions) {
    this.#options = options;
    this.#blobs = new Blobs(options.backend, { ...options, area: "answer" });
  }

  /**
   * The answer that was given before, or the right to give one.
   *
   * @throws InferenceError `idempotency_key_reused` for another body under a known key,
   * `request_in_progress` while the first request is being answered, `answer_gone` if its answer was
   * deleted or too large to be kept, or `store_unavailable`
   */
  async claim(request: IdempotentRequest): Promise<Uint8Array | Claim> {
    const { backend, tenant, now, random } = this.#options;
    const { secret } = backend;
    const named = [request.route, request.key, ...(secret === undefined ? [] : [secret])];
    const key: Key = [...idempotencyKey(tenant), await hash(named)];
    const body = await hash([request.body]);
    const owner = newId("", random);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const entry = await backend.get(key);
      const row = entry && decodeIdempotencyRow(entry.value);
      if (entry && row && this.#isHeld(row, entry)) {
        // Won by a write that was tried again after its answer was lost.
        if (row.owner === owner) return this.#claim(key, row, entry.versionstamp);
        if (row.gone === "deleted") throw responseMissing(request.key, row);
        if (row.body !== body) throw keyReused(request.key);
        if (row.gone !== undefined) throw responseMissing(request.key, row);
        if (row.answer === null) throw inProgress(request.key);
        return await this.#blobs.read(row.answer);
      }
      const claimed: IdempotencyRow = {
        version: 1,
        body,
        owner,
        expires: now() + CLAIM_MS,
        answer: null,
      };
      const versionstamp = await this.#put(key, claimed, entry?.versionstamp ?? null);
      if (versionstamp !== null) return this.#claim(key, claimed, versionstamp);
    }
    throw inProgress(request.key);
  }

  /** Whether a key is taken: by an answer, or by a claim that may still be renewed. */
  #isHeld({ answer, gone, expires }: IdempotencyRow, { key, versionstamp }: Entry): boolean {
    const { now, monotonic } = this.#options;
    if (answer !== null || gone !== undefined) return expires > now();
    const hash = String(key[2]);
    const seen = this.#seen.get(hash);
    if (seen?.versionstamp === versionstamp) return monotonic() - seen.since < CLAIM_MS;
    this.#seen.delete(hash);
    this.#seen.set(hash, { versionstamp, since: monotonic() });
    if (this.#seen.size > MOST_SEEN) this.#seen.delete(this.#seen.keys().next().value!);
    return true;
  }

  #claim(key: Key, claimed: IdempotencyRow, since: string): Claim {
    const { backend, tenant, now } = this.#options;
    this.#seen.delete(String(key[2]));
    let held: string | null = since;
    /** Writes come one after the other: each checks what the one before has written. */
    let last: Promise<unknown> = Promise.resolve();
    const inTurn = <T>(write: () => Promise<T>): Promise<T> => {
      const next = last.then(write);
      last = next.catch(() => {});
      return next;
    };
    const put = async (row: IdempotencyRow, also: readonly Mutation[] = []): Promise<boolean> => {
      if (held === null) return false;
      held = await this.#put(key, row, held, also) ?? await this.#written(key, row);
      return held !== null;
    };
    return {
      renew: () => inTurn(() => put({ ...claimed, expires: now() + CLAIM_MS })),
      complete: (bytes, states = []) =>
        inTurn(async () => {
          const expires = now() + RECORD_TTL_MS;
          const answer = await this.#blobs.write(bytes, expires);
          const links = states.map((state) => this.#link(state, key));
          if (!await put({ ...claimed, expires, answer }, links)) {
            return await this.#blobs.delete(answer);
          }
          // Whoever has deleted a state before the link was there has not found the answer.
          const found = await backend.getMany(states.map((id) => stateKey(tenant, id)));
          for (const [i, id] of states.entries()) if (found[i] === null) await this.forget(id);
        }),
      completeWithout: ([state] = []) =>
        inTurn(async () => {
          const gone = { gone: "too_large", ...(state === undefined ? {} : { state }) } as const;
          await put({ ...claimed, expires: now() + RECORD_TTL_MS, ...gone });
        }),
      release: () =>
        inTurn(async () => {
          if (held === null) return;
          await backend.atomic([{ key, versionstamp: held }], [{ type: "delete", key }]);
          held = null;
        }),
    };
  }

  /**
   * Deletes the answers that name a state which has been deleted. Their keys stay, and lead to
   * `answer_gone` as long as they would have led to the answer.
   *
   * @throws InferenceError `store_unavailable`
   */
  async forget(state: string): Promise<void> {
    const { backend, tenant } = this.#options;
    for await (const { key: link } of backend.list([...idempotencyOfStateKey(tenant), state])) {
      await this.#empty([...idempotencyKey(tenant), link[3]]);
      await backend.delete(link);
    }
  }

  /** Deletes the answer at a key, whatever else happens to it meanwhile. */
  async #empty(key: Key): Promise<void> {
    const { backend } = this.#options;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const entry = await backend.get(key);
      if (entry === null) return;
      const row = readable(entry.value);
      if (row === null) return await backend.delete(key);
      // A claim that took the key since will keep another answer.
      if (row.answer === null) return;
      const emptied: IdempotencyRow = { ...row, body: "", answer: null, gone: "deleted" };
      if (await this.#put(key, emptied, entry.versionstamp) === null) continue;
      return await this.#blobs.delete(row.answer);
    }
  }

  #put(
    key: Key,
    row: IdempotencyRow,
    versionstamp: string | null,
    also: readonly Mutation[] = [],
  ): Promise<string | null> {
    const { backend, now } = this.#options;
    const value = encodeIdempotencyRow(row);
    // The database's clock may differ as well, so it keeps a claim for long.
    const isClaim = row.answer === null && row.gone === undefined;
    const expireIn = isClaim ? RECORD_TTL_MS : Math.max(1, row.expires - now());
    const set: Mutation = { type: "set", key, value, expireIn };
    return backend.atomic([{ key, versionstamp }], [set, ...also]);
  }

  /** What leads from a state to the answer at `key`. */
  #link(state: string, key: Key): Mutation {
    const link = [...idempotencyOfStateKey(this.#options.tenant), state, key[2]];
    return { type: "set", key: link, value: new Uint8Array(), expireIn: RECORD_TTL_MS };
  }

  /** The versionstamp of a row that was written though its writer was told otherwise. */
  async #written(key: Key, row: IdempotencyRow): Promise<string | null> {
    const entry = await this.#options.backend.get(key);
    const found = entry && decodeIdempotencyRow(entry.value);
    const own = found?.owner === row.owner && found.expires === row.expires &&
      found.answer?.id === row.answer?.id;
    return own ? entry!.versionstamp : null;
  }
}

/** `null` for a row that is damaged: its answer can't be given either. */
function readable(value: Uint8Array): IdempotencyRow | null {
  try {
    return decodeIdempotencyRow(value);
  } catch {
    return null;
  }
}

async function hash(parts: readonly string[]): Promise<string> {
  return toHex(await sha256(new TextEncoder().encode(JSON.stringify(parts))));
}
