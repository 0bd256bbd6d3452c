/** Where keys are known: each place says whose the key with a hash is. */

import type { KeyLimits } from "../store/api_keys.ts";

/** Whose request it is. */
export interface Caller {
  /** What it sees and makes is this tenant's, and nobody else's. */
  readonly tenant: string;
  /** Bounds that came with its key. */
  readonly limits?: KeyLimits | undefined;
}

/** A place that knows keys. Both may fail while it can't be asked. */
export interface KeySource {
  /** Whose the key is whose SHA-256 this is; `null` for none. */
  find(hash: string): Promise<Caller | null>;
  /** Whether keys are needed, for all that is known here. */
  any(): Promise<boolean>;
}

/** A key as a list has it. */
export interface ListedKey {
  tenant: string;
  /** Of its text, SHA-256 in lower-case hex. */
  hash: string;
}

/** Keys that never change. */
export function fixedKeys(keys: readonly ListedKey[]): KeySource {
  const tenants = new Map(keys.map(({ hash, tenant }) => [hash, tenant]));
  return {
    find: (hash) => {
      const tenant = tenants.get(hash);
      return Promise.resolve(tenant === undefined ? null : { tenant });
    },
    any: () => Promise.resolve(keys.length > 0),
  };
}
