/**
 * Looks up the tenant of a key in all sources, and caches the result:
 *
 * - A result is valid for 5 seconds. A revoked key therefore stops working within 10 seconds on
 *   every worker, and a new key works even if it was tried before it existed.
 * - A cached key keeps working for ten minutes while a source is slow or unreachable, so an outage
 *   of the store does not interrupt clients. A key that is not cached gets a 503 response.
 * - Unknown keys have a separate cache with a maximum size. Guessing keys neither fills memory
 *   nor evicts known keys.
 */

import { InferenceError } from "../core/errors.ts";
import { hashKey } from "../store/keys/api_key_text.ts";
import { TimeoutError, withTimeout } from "../store/backends/reconnecting_client.ts";
import { firstResult, type KeySource } from "./key_source.ts";
import type { Caller } from "./access_api.ts";

/** Milliseconds for which a result is valid. */
export const CACHE_MS = 5_000;
/** Milliseconds for which a cached key keeps working during an outage. */
export const OUTAGE_MS = 600_000;
/** Milliseconds after a failed lookup during which cached keys are not looked up again. */
const RETRY_MS = 1_000;

export interface KeyLookupOptions {
  sources: readonly KeySource[];
  /** Milliseconds. */
  now: () => number;
  /** Milliseconds that a request with a cached key waits for a lookup. */
  confirmTimeoutMs?: number | undefined;
  /** Maximum size of each of the two caches. */
  maxEntries?: number | undefined;
}

interface CachedKey {
  caller: Caller;
  /** Time of the lookup. */
  lookedUpAt: number;
}

export class KeyLookup {
  readonly #sources: readonly KeySource[];
  readonly #now: () => number;
  readonly #confirmTimeoutMs: number;
  readonly #maxEntries: number;
  /** Known keys by hash, the least recently used first. */
  readonly #known = new Map<string, CachedKey>();
  /** Times of lookups of unknown keys by hash, the oldest first. */
  readonly #unknown = new Map<string, number>();
  /** Running lookups by hash. */
  readonly #lookups = new Map<string, Promise<Caller | null>>();
  #failedAt = -Infinity;

  constructor(
    { sources, now, confirmTimeoutMs = 2_000, maxEntries = 10_000 }: KeyLookupOptions,
  ) {
    this.#sources = sources;
    this.#now = now;
    this.#confirmTimeoutMs = confirmTimeoutMs;
    this.#maxEntries = maxEntries;
  }

  /** Number of cached keys, for tests. */
  get size(): number {
    return this.#known.size + this.#unknown.size;
  }

  /**
   * Returns the caller of a key, or `null` for an unknown or revoked key.
   *
   * @throws InferenceError `store_unavailable`
   */
  async find(text: string): Promise<Caller | null> {
    const hash = await hashKey(text);
    const now = this.#now();
    const known = this.#known.get(hash);
    if (known !== undefined) {
      this.#known.delete(hash);
      this.#known.set(hash, known);
      if (now - known.lookedUpAt < CACHE_MS) return known.caller;
    }
    if (now - (this.#unknown.get(hash) ?? -Infinity) < CACHE_MS) return null;
    const usable = known !== undefined && now - known.lookedUpAt < OUTAGE_MS;
    if (usable && now - this.#failedAt < RETRY_MS) return known.caller;
    try {
      const lookup = this.#lookUpOnce(hash);
      return usable ? await withTimeout(lookup, this.#confirmTimeoutMs) : await lookup;
    } catch (error) {
      this.#failedAt = this.#now();
      if (usable) return known.caller;
      throw lookupError(error);
    }
  }

  /** Runs at most one lookup of a key at a time. Concurrent requests share its result. */
  #lookUpOnce(hash: string): Promise<Caller | null> {
    const running = this.#lookups.get(hash);
    if (running !== undefined) return running;
    const lookup = this.#lookUp(hash).finally(() => this.#lookups.delete(hash));
    this.#lookups.set(hash, lookup);
    return lookup;
  }

  async #lookUp(hash: string): Promise<Caller | null> {
    const lookedUpAt = this.#now();
    const caller = await firstResult(this.#sources, (source) => source.find(hash));
    const maxEntries = this.#maxEntries;
    if (caller === null) {
      this.#known.delete(hash);
      cache(this.#unknown, hash, { value: lookedUpAt, maxEntries });
    } else {
      this.#unknown.delete(hash);
      cache(this.#known, hash, { value: { caller, lookedUpAt }, maxEntries });
    }
    return caller;
  }
}

function cache<T>(
  map: Map<string, T>,
  hash: string,
  { value, maxEntries }: { value: T; maxEntries: number },
): void {
  map.delete(hash);
  map.set(hash, value);
  if (map.size > maxEntries) map.delete(map.keys().next().value!);
}

/** Hides where keys are stored from clients that are not authenticated. */
function lookupError(cause: unknown): unknown {
  if (!(cause instanceof InferenceError) && !(cause instanceof TimeoutError)) return cause;
  return new InferenceError(
    "store_unavailable",
    "Cannot check the API key: the key store is unavailable; retry later",
    { cause },
  );
}
