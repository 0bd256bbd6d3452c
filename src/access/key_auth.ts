/**
 * Who may ask. A worker is open while no key is known anywhere, and where it may be: then all that
 * it has is the default tenant's. With the first key it closes, for as long as it runs: from then on
 * every request needs one, and has its tenant by it.
 */

import { InferenceError } from "../core/errors.ts";
import { DEFAULT_TENANT } from "../core/tenant.ts";
import { withTimeout } from "../store/backends/reconnecting_client.ts";
import { CACHE_MS, KeyLookup } from "./key_lookup.ts";
import { firstResult, type KeySource } from "./key_source.ts";
import type { AuthPolicy, Caller } from "./access_api.ts";

/** When a worker is open: never, once it is known that there is no key, or until one is known. */
export type KeylessAccess = "never" | "no-keys" | "no-known-keys";

/** What a gate goes by. */
export interface KeyAuthOptions {
  /** Where keys are known; the first one that knows a key decides. */
  sources: readonly KeySource[];
  /** When it is open. */
  keylessAccess: KeylessAccess;
  /** Milliseconds. */
  now: () => number;
  /** Milliseconds that a request waits for what is known already to be confirmed. */
  confirmTimeoutMs?: number | undefined;
}

/** A gate that lets everybody in, as the default tenant. */
export const NO_AUTH: AuthPolicy = {
  authenticate: () => Promise.resolve({ tenant: DEFAULT_TENANT }),
  keysRequired: () => Promise.resolve(false),
};

/** The gate of a worker. */
export class KeyAuth implements AuthPolicy {
  readonly #sources: readonly KeySource[];
  readonly #openness: KeylessAccess;
  readonly #now: () => number;
  readonly #patience: number;
  readonly #lookup: KeyLookup;
  /** It never opens again: who revokes the last key does not mean to let everybody in. */
  #closed = false;
  /** When it was seen last that there are no keys; `null`: never yet. */
  #seenOpen: number | null = null;
  #looking: Promise<boolean> | null = null;

  /** A gate that asks `sources`. */
  constructor(
    { sources, keylessAccess: openness, now, confirmTimeoutMs: patience = 2_000 }: KeyAuthOptions,
  ) {
    this.#sources = sources;
    this.#openness = openness;
    this.#now = now;
    this.#patience = patience;
    this.#lookup = new KeyLookup({ sources, now, confirmTimeoutMs: patience });
  }

  /** See {@linkcode AuthPolicy}. */
  async authenticate(authorization: string | undefined): Promise<Caller> {
    if (!await this.keysRequired()) return { tenant: DEFAULT_TENANT };
    const key = authorization?.match(/^Bearer +(\S+) *$/i)?.[1];
    const caller = key === undefined ? null : await this.#lookup.find(key);
    if (caller === null) throw invalidKey();
    return caller;
  }

  /** See {@linkcode AuthPolicy}. */
  async keysRequired(): Promise<boolean> {
    if (this.#closed || this.#openness === "never") return true;
    const seen = this.#seenOpen;
    if (seen !== null && this.#now() - seen < CACHE_MS) return false;
    if (seen === null && this.#openness === "no-keys") return await this.hasKeys();
    try {
      return await withTimeout(this.hasKeys(), this.#patience);
    } catch {
      this.#seenOpen = this.#now();
      return false;
    }
  }

  /** Whether there is a key anywhere. Throws InferenceError `store_unavailable`. */
  hasKeys(): Promise<boolean> {
    return this.#looking ??= this.#look().finally(() => this.#looking = null);
  }

  async #look(): Promise<boolean> {
    const began = this.#now();
    const any = await firstResult(this.#sources, async (source) => await source.any() || null);
    if (any) return this.#closed = true;
    this.#seenOpen = began;
    return false;
  }
}

/** The same for no key, an unknown and a revoked one. */
export function invalidKey(): InferenceError {
  return new InferenceError(
    "invalid_api_key",
    "No valid API key was sent: send one that this worker takes, as Authorization: Bearer KEY",
  );
}
