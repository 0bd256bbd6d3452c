/** A backend in memory for tests, with the limits of a real database. */

import {
  type Backend,
  type Check,
  type Entry,
  type Key,
  LIMITS,
  type ListOptions,
  type Mutation,
} from "./backend.ts";

interface Row {
  key: Key;
  value: Uint8Array;
  versionstamp: string;
  /** Epoch milliseconds. */
  expires: number;
}

export interface MemoryBackendOptions {
  /** Epoch milliseconds. */
  now?: (() => number) | undefined;
}

export class MemoryBackend implements Backend {
  readonly name = "memory";
  readonly valueBytes: number = LIMITS.valueBytes;
  readonly #rows = new Map<string, Row>();
  readonly #now: () => number;
  #version = 0;

  constructor({ now = Date.now }: MemoryBackendOptions = {}) {
    this.#now = now;
  }

  /** Number of rows, for tests that check for leftovers. */
  get size(): number {
    return this.#rows.size;
  }

  get(key: Key): Promise<Entry | null> {
    return Promise.resolve(this.#read(key));
  }

  getMany(keys: readonly Key[]): Promise<(Entry | null)[]> {
    return Promise.resolve(keys.map((key) => this.#read(key)));
  }

  async *list(prefix: Key, { limit = Infinity, range }: ListOptions = {}): AsyncIterable<Entry> {
    await Promise.resolve();
    const keys = [...this.#rows.values()].map((row) => row.key)
      .filter((key) => key.length > prefix.length && prefix.every((part, i) => part === key[i]))
      .filter((key) => range === undefined || isWithin(key[prefix.length], range))
      .sort(compareKeys);
    let listed = 0;
    for (const key of keys) {
      if (listed === limit) return;
      const entry = this.#read(key);
      if (entry === null) continue;
      listed++;
      yield entry;
    }
  }

  async atomic(checks: readonly Check[], mutations: readonly Mutation[]): Promise<string | null> {
    await Promise.resolve();
    assertWithinLimits(checks, mutations);
    const holds = (check: Check) =>
      (this.#read(check.key)?.versionstamp ?? null) === check.versionstamp;
    if (!checks.every(holds)) return null;
    const versionstamp = (++this.#version).toString(16).padStart(20, "0");
    for (const mutation of mutations) {
      const name = JSON.stringify(mutation.key);
      if (mutation.type === "delete") {
        this.#rows.delete(name);
      } else {
        const expires = this.#now() + (mutation.expireIn ?? Infinity);
        const value = mutation.value.slice();
        this.#rows.set(name, { key: [...mutation.key], value, versionstamp, expires });
      }
    }
    return versionstamp;
  }

  delete(key: Key): Promise<void> {
    this.#rows.delete(JSON.stringify(key));
    return Promise.resolve();
  }

  close(): void {}

  #read(key: Key): Entry | null {
    const row = this.#rows.get(JSON.stringify(key));
    if (row === undefined || row.expires <= this.#now()) return null;
    return { key: row.key, value: row.value.slice(), versionstamp: row.versionstamp };
  }
}

function isWithin(part: string | number, [from, to]: readonly [number, number]): boolean {
  return typeof part === "number" && part >= from && part < to;
}

/** Strings before numbers, as Deno KV orders them. */
function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [left, right] = [a[i], b[i]];
    if (left === right) continue;
    if (typeof left !== typeof right) return typeof left === "string" ? -1 : 1;
    return left < right ? -1 : 1;
  }
  return a.length - b.length;
}

function assertWithinLimits(checks: readonly Check[], mutations: readonly Mutation[]): void {
  const assertAtMost = (what: string, count: number, limit: number) => {
    if (count > limit) throw new TypeError(`Too many ${what}: ${count}, at most ${limit}`);
  };
  assertAtMost("checks", checks.length, LIMITS.atomicChecks);
  assertAtMost("mutations", mutations.length, LIMITS.atomicMutations);
  let total = 0;
  for (const mutation of mutations) {
    const keyBytes = JSON.stringify(mutation.key).length;
    const valueBytes = mutation.type === "set" ? mutation.value.length : 0;
    assertAtMost("bytes in a key", keyBytes, LIMITS.keyBytes);
    assertAtMost("bytes in a value", valueBytes, LIMITS.valueBytes);
    total += keyBytes + valueBytes;
  }
  assertAtMost("bytes in an atomic write", total, LIMITS.atomicBytes);
}
