/** Where keys are known: each place says whose the key with a hash is. */

import type { KeyLimits } from "../store/keys/key_limits.ts";
import type { Caller } from "./access_api.ts";

/** A place that knows keys. Both may fail while it can't be asked. */
export interface KeySource {
  /** Whose the key is whose SHA-256 this is; `null` for none. */
  find(hash: string): Promise<Caller | null>;
  /** Whether keys are needed, for all that is known here. */
  any(): Promise<boolean>;
}

/**
 * The first answer that counts, asked of one place after the other: those that come first decide, and
 * the slow ones are to be last. A place that fails is passed over as long as another one knows.
 *
 * @returns `null` if none counts. Throws what a place threw if none counts and one has failed.
 */
export async function firstResult<T>(
  sources: readonly KeySource[],
  ask: (source: KeySource) => Promise<T | null>,
): Promise<T | null> {
  const failures: unknown[] = [];
  for (const source of sources) {
    try {
      const answer = await ask(source);
      if (answer !== null) return answer;
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return null;
}

/** A key as a list has it. */
export interface ListedKey {
  tenant: string;
  /** Of its text, SHA-256 in lower-case hex. */
  hash: string;
  /** Its own bounds, if it has any. */
  limits?: KeyLimits | undefined;
}

/** Keys that never change; of a key that is listed twice, the first line counts. */
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
