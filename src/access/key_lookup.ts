/**
 * Whose a key is, asked of all places that know keys, and remembered for a while. The policy:
 *
 * - An answer counts for 5 seconds. So a revoked key stops within 10 on every worker, and a new one
 *   works, however often it was tried before.
 * - A key that was known goes on for ten minutes while a place can't be asked, or is slow: who talks
 *   is not cut off by trouble of the store. A key that was not known gets 503 then.
 * - Unknown keys are remembered apart from known ones, and only so many: who tries many keys fills
 *   no memory, and drives no known one out.
 */

import { InferenceError } from "../core/errors.ts";
import { hashKey } from "../store/keys/api_key_text.ts";
import { TimeoutError, withTimeout } from "../store/backends/reconnecting_client.ts";
import { firstResult, type KeySource } from "./key_source.ts";
import type { Caller } from "./access_api.ts";

/** Milliseconds that an answer counts. */
export const CACHE_MS = 5_000;
/** Milliseconds that a known key goes on while nobody can be asked. */
export const OUTAGE_MS = 600_000;
/** Milliseconds that nobody is asked about known keys after nobody has answered. */
const PAUSE_MS = 1_000;

export interface KeyLookupOptions {
  sources: readonly KeySource[];
  /** Milliseconds. */
  now: () => number;
  /** Milliseconds that a known key's request waits for an answer. */
  confirmTimeoutMs?: number | undefined;
  /** Keys that are remembered, known and unknown ones each. */
  maxEntries?: number | undefined;
}

interface Known {
  caller: Caller;
  /** When it was asked for. */
  asked: number;
}

export class KeyLookup {
  readonly #sources: readonly KeySource[];
  readonly #now: () => number;
  readonly #patience: number;
  readonly #most: number;
  /** By hash, in order of use. */
  readonly #known = new Map<string, Known>();
  /** When each was asked for, by hash, the oldest first. */
  readonly #unknown = new Map<string, number>();
  /** By hash. */
  readonly #asking = new Map<string, Promise<Caller | null>>();
  #failed = -Infinity;

  constructor(
    { sources, now, confirmTimeoutMs: patience = 2_000, maxEntries: most = 10_000 }:
      KeyLookupOptions,
  ) {
    this.#sources = sources;
    this.#now = now;
    this.#patience = patience;
    this.#most = most;
  }

  /** Keys remembered, for tests. */
  get size(): number {
    return this.#known.size + this.#unknown.size;
  }

  /**
   * Whose a key is; `null` for none, or one that was revoked.
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
      if (now - known.asked < CACHE_MS) return known.caller;
    }
    if (now - (this.#unknown.get(hash) ?? -Infinity) < CACHE_MS) return null;
    const lasting = known !== undefined && now - known.asked < OUTAGE_MS;
    if (lasting && now - this.#failed < PAUSE_MS) return known.caller;
    try {
      const asking = this.#ask(hash);
      return lasting ? await withTimeout(asking, this.#patience) : await asking;
    } catch (error) {
      this.#failed = this.#now();
      if (lasting) return known.caller;
      throw unchecked(error);
    }
  }

  /** One question a key at a time, however many requests it comes with. */
  #ask(hash: string): Promise<Caller | null> {
    const others = this.#asking.get(hash);
    if (others !== undefined) return others;
    const asking = this.#answer(hash).finally(() => this.#asking.delete(hash));
    this.#asking.set(hash, asking);
    return asking;
  }

  async #answer(hash: string): Promise<Caller | null> {
    const asked = this.#now();
    const caller = await firstResult(this.#sources, (source) => source.find(hash));
    const most = this.#most;
    if (caller === null) {
      this.#known.delete(hash);
      remember(this.#unknown, hash, { value: asked, most });
    } else {
      this.#unknown.delete(hash);
      remember(this.#known, hash, { value: { caller, asked }, most });
    }
    return caller;
  }
}

function remember<T>(
  map: Map<string, T>,
  hash: string,
  { value, most }: { value: T; most: number },
): void {
  map.delete(hash);
  map.set(hash, value);
  if (map.size > most) map.delete(map.keys().next().value!);
}

/** Who has shown no key yet is not told where keys are. */
function unchecked(cause: unknown): unknown {
  if (!(cause instanceof InferenceError) && !(cause instanceof TimeoutError)) return cause;
  return new InferenceError(
    "store_unavailable",
    "Cannot check the API key: what knows keys does not answer; try again",
    { cause },
  );
}
