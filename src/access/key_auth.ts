/**
 * Authentication by API key. While no key exists, requests without a key may be accepted; they
 * belong to the default tenant. Once a worker has seen a key, it requires keys until it ends, and
 * the key of a request determines its tenant.
 */

import { InferenceError } from "../core/errors.ts";
import { DEFAULT_TENANT } from "../core/tenant.ts";
import { withTimeout } from "../store/backends/reconnecting_client.ts";
import { CACHE_MS, KeyLookup } from "./key_lookup.ts";
import { firstResult, type KeySource } from "./key_source.ts";
import type { AuthPolicy, Caller } from "./access_api.ts";

/**
 * When requests without a key are accepted: never; while it is certain that no key exists; or until
 * a key is found.
 */
export type KeylessAccess = "never" | "no-keys" | "no-known-keys";

/** Options of `KeyAuth`. */
export interface KeyAuthOptions {
  /** Sources of keys; the first one that knows a key decides. */
  sources: readonly KeySource[];
  /** When requests without a key are accepted. */
  keylessAccess: KeylessAccess;
  /** Milliseconds. */
  now: () => number;
  /** Milliseconds that a request waits until cached information is confirmed. */
  confirmTimeoutMs?: number | undefined;
}

/** A policy that accepts every request as the default tenant. */
export const NO_AUTH: AuthPolicy = {
  authenticate: () => Promise.resolve({ tenant: DEFAULT_TENANT }),
  keysRequired: () => Promise.resolve(false),
};

/** The policy of a worker. */
export class KeyAuth implements AuthPolicy {
  readonly #sources: readonly KeySource[];
  readonly #keylessAccess: KeylessAccess;
  readonly #now: () => number;
  readonly #confirmTimeoutMs: number;
  readonly #lookup: KeyLookup;
  /** Stays set: revoking the last key must not open the worker to everybody. */
  #requiresKeys = false;
  /** Time of the last check that found no key; `null` before the first one. */
  #noKeysSeenAt: number | null = null;
  #checking: Promise<boolean> | null = null;

  /** Creates a policy that looks keys up in `sources`. */
  constructor(
    { sources, keylessAccess, now, confirmTimeoutMs = 2_000 }: KeyAuthOptions,
  ) {
    this.#sources = sources;
    this.#keylessAccess = keylessAccess;
    this.#now = now;
    this.#confirmTimeoutMs = confirmTimeoutMs;
    this.#lookup = new KeyLookup({ sources, now, confirmTimeoutMs });
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
    if (this.#requiresKeys || this.#keylessAccess === "never") return true;
    const seen = this.#noKeysSeenAt;
    if (seen !== null && this.#now() - seen < CACHE_MS) return false;
    if (seen === null && this.#keylessAccess === "no-keys") return await this.hasKeys();
    try {
      return await withTimeout(this.hasKeys(), this.#confirmTimeoutMs);
    } catch {
      this.#noKeysSeenAt = this.#now();
      return false;
    }
  }

  /** Returns whether any source has a key. Throws InferenceError `store_unavailable`. */
  hasKeys(): Promise<boolean> {
    return this.#checking ??= this.#check().finally(() => this.#checking = null);
  }

  async #check(): Promise<boolean> {
    const startedAt = this.#now();
    const any = await firstResult(this.#sources, async (source) => await source.any() || null);
    if (any) return this.#requiresKeys = true;
    this.#noKeysSeenAt = startedAt;
    return false;
  }
}

/** Returns the same error for a missing, an unknown and a revoked key. */
export function invalidKey(): InferenceError {
  return new InferenceError(
    "invalid_api_key",
    "Invalid API key: send a key of this worker as Authorization: Bearer KEY",
  );
}
