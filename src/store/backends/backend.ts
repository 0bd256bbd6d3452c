/**
 * What the state store requires of a database: ordered keys, byte values and a conditional atomic
 * write. `tests/store/backends/conformance.ts` tests a backend. Values are bytes, so a backend does
 * not choose an encoding.
 */

/** A key. Parts are compared in order; every key of the store starts with its tenant. */
export type Key = readonly (string | number)[];

/** A key with its value. */
export interface Entry {
  /** The key. */
  key: Key;
  /** At most the backend's `valueBytes`. */
  value: Uint8Array;
  /** Changes with every write of this key and is never reused. */
  versionstamp: string;
}

/** A condition: the key has this versionstamp, or does not exist for `null`. */
export interface Check {
  /** The key to check. */
  key: Key;
  /** The versionstamp of an entry that was read. */
  versionstamp: string | null;
}

/** A change of one key in an atomic write. */
export type Mutation =
  | {
    type: "set";
    key: Key;
    value: Uint8Array;
    /** Milliseconds after which the key expires: never earlier, possibly much later. */
    expireIn?: number | undefined;
  }
  | { type: "delete"; key: Key };

/** Options of `list`. */
export interface ListOptions {
  /** Maximum number of entries; all by default. */
  limit?: number | undefined;
  /** Lists only keys whose part after the prefix is a number in [from, to). */
  range?: readonly [from: number, to: number] | undefined;
}

/** The smallest limits of the supported databases. The store respects them on all backends. */
export const LIMITS = {
  keyBytes: 2_048,
  valueBytes: 65_536,
  atomicChecks: 10,
  atomicMutations: 1_000,
  atomicBytes: 819_200,
} as const;

/**
 * An ordered key-value database. Reads see every write that was acknowledged earlier.
 *
 * Every method throws InferenceError `store_unavailable` if the database cannot be reached or stays
 * busy. A write may have been applied in this case.
 */
export interface Backend {
  /** Location of the data for messages: a path, a URL or "memory". */
  readonly name: string;

  /** Maximum bytes of a value: `LIMITS.valueBytes`, or less if values are wrapped. */
  readonly valueBytes: number;

  /**
   * Secret that is included in hashes that become keys, if values are encrypted. Without it, the
   * content behind a hash could be guessed by trying candidates.
   */
  readonly secret?: string | undefined;

  /** Returns the entry of a key, or `null`. */
  get(key: Key): Promise<Entry | null>;

  /** Returns the entries of several keys, in their order. */
  getMany(keys: readonly Key[]): Promise<(Entry | null)[]>;

  /** Yields entries whose keys extend `prefix`, in key order. */
  list(prefix: Key, options?: ListOptions): AsyncIterable<Entry>;

  /**
   * Applies all mutations if all checks hold, and none otherwise.
   *
   * @returns The versionstamp of the write, or `null` if a check failed.
   */
  atomic(checks: readonly Check[], mutations: readonly Mutation[]): Promise<string | null>;

  /** Deletes a key. */
  delete(key: Key): Promise<void>;

  /** Releases all resources. The backend must not be used afterwards. */
  close(): void;
}

/** Deletes any number of keys in few atomic writes. */
export async function deleteKeys(backend: Backend, keys: readonly Key[]): Promise<void> {
  for (let first = 0; first < keys.length; first += LIMITS.atomicMutations) {
    const batch = keys.slice(first, first + LIMITS.atomicMutations);
    await backend.atomic([], batch.map((key) => ({ type: "delete", key })));
  }
}
