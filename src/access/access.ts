/**
 * Who may ask. A worker is open while no key is known anywhere, and where it may be: then all that
 * it has is the default tenant's. With the first key it closes, for as long as it runs: from then on
 * every request needs one, and has its tenant by it.
 */

import { InferenceError } from "../core/errors.ts";
import { DEFAULT_TENANT } from "../core/tenant.ts";
import { within } from "../store/backends/reconnecting_client.ts";
import { KeyLookup, LIFE_MS } from "./key_lookup.ts";
import { firstOf, type KeySource } from "./key_source.ts";
import type { Caller, Gate } from "./access_api.ts";

/** When a worker is open: never, once it is known that there is no key, or until one is known. */
export type Openness = "never" | "no-keys" | "no-known-keys";

/** What a gate goes by. */
export interface AccessOptions {
  /** Where keys are known; the first one that knows a key decides. */
  sources: readonly KeySource[];
  /** When it is open. */
  openness: Openness;
  /** Milliseconds. */
  now: () => number;
  /** Milliseconds that a request waits for what is known already to be confirmed. */
  patience?: number | undefined;
}

/** A gate that lets everybody in, as the default tenant. */
export const OPEN_GATE: Gate = {
  admit: () => Promise.resolve({ tenant: DEFAULT_TENANT }),
  closed: () => Promise.resolve(false),
};

/** The gate of a worker. */
export class Access implements Gate {
  readonly #sources: readonly KeySource[];
  readonly #openness: Openness;
  readonly #now: () => number;
  readonly #patience: number;
  readonly #lookup: KeyLookup;
  /** It never opens again: who revokes the last key does not mean to let everybody in. */
  #closed = false;
  /** When it was seen last that there are no keys; `null`: never yet. */
  #seenOpen: number | null = null;
  #looking: Promise<boolean> | null = null;

  /** A gate that asks `sources`. */
  constructor({ sources, openness, now, patience = 2_000 }: AccessOptions) {
    this.#sources = sources;
    this.#openness = openness;
    this.#now = now;
    this.#patience = patience;
    this.#lookup = new KeyLookup({ sources, now, patience });
  }

  /** See {@linkcode Gate}. */
  async admit(authorization: string | undefined): Promise<Caller> {
    if (!await this.closed()) return { tenant: DEFAULT_TENANT };
    const key = authorization?.match(/^Bearer +(\S+) *$/i)?.[1];
    const caller = key === undefined ? null : await this.#lookup.find(key);
    if (caller === null) throw invalidKey();
    return caller;
  }

  /** See {@linkcode Gate}. */
  async closed(): Promise<boolean> {
    if (this.#closed || this.#openness === "never") return true;
    const seen = this.#seenOpen;
    if (seen !== null && this.#now() - seen < LIFE_MS) return false;
    if (seen === null && this.#openness === "no-keys") return await this.hasKeys();
    try {
      return await within(this.hasKeys(), this.#patience);
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
    const any = await firstOf(this.#sources, async (source) => await source.any() || null);
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
