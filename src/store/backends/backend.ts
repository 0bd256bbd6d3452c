/**
 * What the state store asks of a database: ordered keys, byte values, and one conditional atomic
 * write. Any database that can do this can hold states; `tests/store/backends/conformance.ts` says whether
 * it does. Values are bytes and nothing else, so that an adapter has no encoding to choose.
 */

/** Parts compare one by one; every key of the store begins with its tenant. */
export type Key = readonly (string | number)[];

/** What is at a key. */
export interface Entry {
  /** Where it is. */
  key: Key;
  /** At most the backend's `valueBytes`. */
  value: Uint8Array;
  /** Changes with every write of this key, and is never used again. */
  versionstamp: string;
}

/** Holds if the key has this versionstamp; `null`: if there is no such key. */
export interface Check {
  /** The key that is looked at. */
  key: Key;
  /** As an entry had it. */
  versionstamp: string | null;
}

/** What an atomic write does to one key. */
export type Mutation =
  | {
    type: "set";
    key: Key;
    value: Uint8Array;
    /** Milliseconds after which the key may vanish. Never earlier, perhaps much later. */
    expireIn?: number | undefined;
  }
  | { type: "delete"; key: Key };

/** Which entries are listed. */
export interface ListOptions {
  /** Entries at most; all of them by default. */
  limit?: number | undefined;
  /** Only keys whose part after the prefix is a number from the first to below the second. */
  range?: readonly [from: number, to: number] | undefined;
}

/** The smallest limits among the databases at hand; the store stays within them everywhere. */
export const LIMITS = {
  keyBytes: 2_048,
  valueBytes: 65_536,
  atomicChecks: 10,
  atomicMutations: 1_000,
  atomicBytes: 819_200,
} as const;

/**
 * An ordered key-value database. Reads see every write that was acknowledged before.
 *
 * Every method throws InferenceError `store_unavailable` when the database cannot be reached or
 * stays busy; a write may have happened then, or not.
 */
export interface Backend {
  /** What holds the data, for people: a path, a URL, "memory". */
  readonly name: string;

  /** Bytes of a value at most; `LIMITS.valueBytes`, or a few less where it is wrapped. */
  readonly valueBytes: number;

  /**
   * Goes into what is hashed to be a key, where values are encrypted: else whoever sees keys could
   * try what they are of.
   */
  readonly secret?: string | undefined;

  /** The entry at a key, or `null`. */
  get(key: Key): Promise<Entry | null>;

  /** One entry a key, in the order of the keys. */
  getMany(keys: readonly Key[]): Promise<(Entry | null)[]>;

  /** Entries whose key begins with `prefix` and is longer, in key order. */
  list(prefix: Key, options?: ListOptions): AsyncIterable<Entry>;

  /**
   * All mutations if all checks hold, else none.
   *
   * @returns the versionstamp of what was written, or `null` if a check failed.
   */
  atomic(checks: readonly Check[], mutations: readonly Mutation[]): Promise<string | null>;

  /** Removes what is at a key, if something is. */
  delete(key: Key): Promise<void>;

  /** Frees what it holds; nothing may follow. */
  close(): void;
}

/** Deletes any number of keys, in as few atomics as may be. */
export async function deleteKeys(backend: Backend, keys: readonly Key[]): Promise<void> {
  for (let first = 0; first < keys.length; first += LIMITS.atomicMutations) {
    const batch = keys.slice(first, first + LIMITS.atomicMutations);
    await backend.atomic([], batch.map((key) => ({ type: "delete", key })));
  }
}
