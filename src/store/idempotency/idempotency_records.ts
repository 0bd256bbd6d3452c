/**
 * Idempotency records: a request that is retried with the same key gets the response of the first
 * request. `[tenant, "idempotency", hash of route and key]` is claimed by an atomic write before the
 * work starts, and names the response when it is complete. If a claim is not renewed, another worker
 * may take it over, so a killed worker does not block a key for long. That worker must have seen the
 * same version of the row for 30 seconds of its own time, because clocks of machines may differ.
 *
 * The response is stored in chunks `[tenant, "answer", id, i]`, apart from the blobs of states: it
 * belongs to one row and expires with it. `[tenant, "answer-of", state, hash]` links a state that a
 * response names to the record, so that deleting the state also deletes its text there.
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

/** Milliseconds for which a response is stored. */
export const RECORD_TTL_MS = 24 * 3_600_000;
/** Milliseconds for which a worker must see a claim unchanged before it may take it over. */
export const CLAIM_MS = 30_000;
/** Maximum number of other workers' claims whose age is tracked. */
const MAX_SEEN = 10_000;
/** Attempts to claim a key while other workers change it. */
const ATTEMPTS = 8;

export interface IdempotencyRecordsOptions {
  backend: Backend;
  tenant: string;
  now: () => number;
  /** Milliseconds of a monotonic clock. */
  monotonic: () => number;
  random: RandomBytes;
}

/** The exclusive right to respond to a request, until it expires. */
export interface Claim {
  /** Extends the claim. Returns whether it is still valid. */
  renew(): Promise<boolean>;
  /**
   * Stores the response; `bytes` must not change afterwards. It is deleted with the first of
   * `states` that is deleted.
   */
  complete(bytes: Uint8Array, states?: readonly string[]): Promise<void>;
  /** Records that the response is too large to store, and the first state with its text. */
  completeWithout(states?: readonly string[]): Promise<void>;
  /** Releases the key for the next request. */
  release(): Promise<void>;
}

/** The idempotency records of one tenant. */
export class IdempotencyRecords {
  readonly #options: IdempotencyRecordsOptions;
  readonly #blobs: Blobs;
  /** Claims of other workers by hash: the version that was seen, and since when. */
  readonly #seen = new Map<string, { versionstamp: string; since: number }>();

  /** Creates the records of one tenant in a backend. */
  constructor(options: IdempotencyRecordsOptions) {
    this.#options = options;
    this.#blobs = new Blobs(options.backend, { ...options, area: "answer" });
  }

  /**
   * Returns the stored response, or claims the key for a new one.
   *
   * @throws InferenceError `idempotency_key_reused` for a known key with another body,
   * `request_in_progress` while the first request is running, `answer_gone` if the response was
   * deleted or too large to store, or `store_unavailable`
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
      if (entry && row && this.#isTaken(row, entry)) {
        // A write of this request was applied although its response was lost.
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

  /** Returns whether a key has a response, or a claim that may still be renewed. */
  #isTaken({ answer, gone, expires }: IdempotencyRow, { key, versionstamp }: Entry): boolean {
    const { now, monotonic } = this.#options;
    if (answer !== null || gone !== undefined) return expires > now();
    const hash = String(key[2]);
    const seen = this.#seen.get(hash);
    if (seen?.versionstamp === versionstamp) return monotonic() - seen.since < CLAIM_MS;
    this.#seen.delete(hash);
    this.#seen.set(hash, { versionstamp, since: monotonic() });
    if (this.#seen.size > MAX_SEEN) this.#seen.delete(this.#seen.keys().next().value!);
    return true;
  }

  #claim(key: Key, claimed: IdempotencyRow, since: string): Claim {
    const { backend, tenant, now } = this.#options;
    this.#seen.delete(String(key[2]));
    /** Versionstamp of the claim; `null` after it was lost. */
    let current: string | null = since;
    /** Writes are sequential, because each checks the result of the previous one. */
    let last: Promise<unknown> = Promise.resolve();
    const sequentially = <T>(write: () => Promise<T>): Promise<T> => {
      const next = last.then(write);
      last = next.catch(() => {});
      return next;
    };
    const put = async (row: IdempotencyRow, also: readonly Mutation[] = []): Promise<boolean> => {
      if (current === null) return false;
      current = await this.#put(key, row, current, also) ?? await this.#appliedVersion(key, row);
      return current !== null;
    };
    return {
      renew: () => sequentially(() => put({ ...claimed, expires: now() + CLAIM_MS })),
      complete: (bytes, states = []) =>
        sequentially(async () => {
          const expires = now() + RECORD_TTL_MS;
          const answer = await this.#blobs.write(bytes, expires);
          const links = states.map((state) => this.#link(state, key));
          if (!await put({ ...claimed, expires, answer }, links)) {
            return await this.#blobs.delete(answer);
          }
          // A deletion of a state before the link existed did not find the response.
          const found = await backend.getMany(states.map((id) => stateKey(tenant, id)));
          for (const [i, id] of states.entries()) if (found[i] === null) await this.forget(id);
        }),
      completeWithout: ([state] = []) =>
        sequentially(async () => {
          const gone = { gone: "too_large", ...(state === undefined ? {} : { state }) } as const;
          await put({ ...claimed, expires: now() + RECORD_TTL_MS, ...gone });
        }),
      release: () =>
        sequentially(async () => {
          if (current === null) return;
          await backend.atomic([{ key, versionstamp: current }], [{ type: "delete", key }]);
          current = null;
        }),
    };
  }

  /**
   * Deletes the responses that name a deleted state. Their keys remain and return `answer_gone` for
   * as long as the response would have been stored.
   *
   * @throws InferenceError `store_unavailable`
   */
  async forget(state: string): Promise<void> {
    const { backend, tenant } = this.#options;
    for await (const { key: link } of backend.list([...idempotencyOfStateKey(tenant), state])) {
      await this.#deleteResponse([...idempotencyKey(tenant), link[3]]);
      await backend.delete(link);
    }
  }

  /** Deletes the response of a record, retrying if the record changes. */
  async #deleteResponse(key: Key): Promise<void> {
    const { backend } = this.#options;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const entry = await backend.get(key);
      if (entry === null) return;
      const row = decodeIfValid(entry.value);
      if (row === null) return await backend.delete(key);
      // A newer claim will store another response.
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
    // The clock of the database may differ as well, so claims get a long expiry.
    const isClaim = row.answer === null && row.gone === undefined;
    const expireIn = isClaim ? RECORD_TTL_MS : Math.max(1, row.expires - now());
    const set: Mutation = { type: "set", key, value, expireIn };
    return backend.atomic([{ key, versionstamp }], [set, ...also]);
  }

  /** Returns the write of the link from a state to the record at `key`. */
  #link(state: string, key: Key): Mutation {
    const link = [...idempotencyOfStateKey(this.#options.tenant), state, key[2]];
    return { type: "set", key: link, value: new Uint8Array(), expireIn: RECORD_TTL_MS };
  }

  /** Returns the versionstamp if a write was applied although it was reported as failed. */
  async #appliedVersion(key: Key, row: IdempotencyRow): Promise<string | null> {
    const entry = await this.#options.backend.get(key);
    const found = entry && decodeIdempotencyRow(entry.value);
    const applied = found?.owner === row.owner && found.expires === row.expires &&
      found.answer?.id === row.answer?.id;
    return applied ? entry!.versionstamp : null;
  }
}

/** Returns `null` for a damaged row, whose response cannot be read either. */
function decodeIfValid(value: Uint8Array): IdempotencyRow | null {
  try {
    return decodeIdempotencyRow(value);
  } catch {
    return null;
  }
}

async function hash(parts: readonly string[]): Promise<string> {
  return toHex(await sha256(new TextEncoder().encode(JSON.stringify(parts))));
}
