/** Sources of API keys: each returns the caller of a key by its hash. */

import type { KeyLimits } from "../store/keys/key_limits.ts";
import type { Caller } from "./access_api.ts";

/** A source of keys. Both methods may fail while it is unreachable. */
export interface KeySource {
  /** Returns the caller of the key with this SHA-256, or `null` if there is no such key. */
  find(hash: string): Promise<Caller | null>;
  /** Returns whether this source requires keys. */
  any(): Promise<boolean>;
}

/**
 * Queries the sources in order and returns the first result that is not `null`. A source that
 * fails is skipped. Slow sources should come last.
 *
 * @returns `null` if no source has a result. Throws the first failure if a source failed.
 */
export async function firstResult<T>(
  sources: readonly KeySource[],
  ask: (source: KeySource) => Promise<T | null>,
): Promise<T | null> {
  const failures: unknown[] = [];
  for (const source of sources) {
    try {
      const result = await ask(source);
      if (result !== null) return result;
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return null;
}

/** A key in a list. */
export interface ListedKey {
  tenant: string;
  /** SHA-256 of the key in lower-case hexadecimal. */
  hash: string;
  /** Limits of the key, if it has any. */
  limits?: KeyLimits | undefined;
}

/** Returns a source of keys that never change. The first entry of a duplicate key counts. */
export function fixedKeys(keys: readonly ListedKey[]): KeySource {
  const callers = new Map(
    keys.toReversed().map(({ hash, tenant, limits }): [string, Caller] => [
      hash,
      { tenant, ...(limits === undefined ? {} : { limits }) },
    ]),
  );
  return {
    find: (hash) => Promise.resolve(callers.get(hash) ?? null),
    any: () => Promise.resolve(keys.length > 0),
  };
}
