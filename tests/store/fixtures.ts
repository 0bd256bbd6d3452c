/** Shared by the store's tests: models, contents, a backend that dies, a temporary folder. */

import {
  type Backend,
  type Check,
  type Entry,
  type Key,
  LIMITS,
  type ListOptions,
  type Mutation,
} from "../../src/store/backend.ts";
import type { StateContent } from "../../src/store/state_store.ts";

export const MODEL = { id: "demo", fingerprint: "sha256:aaaa" };
export const OTHER_MODEL = { id: "other", fingerprint: "sha256:bbbb" };

/** Bytes that tell `seed` at every position. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + seed) & 255;
  return bytes;
}

/** A state of `length` bytes, a turn that names it, and `told` bytes of what came before. */
export function content(
  seed: number,
  { length = 200_000, open = false, told = 0 } = {},
): StateContent & { history: Uint8Array | null } {
  const turn = new TextEncoder().encode(JSON.stringify({ seed, length }));
  const history = told === 0 ? null : pattern(told, seed + 1);
  return { state: pattern(length, seed), turn, history, open };
}

export class ProcessDied extends Error {}

/** Lets `writes` atomics through, then dies in one: before it took place, or just after. */
export class DyingBackend implements Backend {
  readonly name = "dying";
  readonly valueBytes: number = LIMITS.valueBytes;
  readonly #inner: Backend;
  readonly #after: boolean;
  #left: number;

  constructor(inner: Backend, { writes, after }: { writes: number; after: boolean }) {
    this.#inner = inner;
    this.#left = writes;
    this.#after = after;
  }

  get(key: Key): Promise<Entry | null> {
    this.#assertAlive();
    return this.#inner.get(key);
  }

  getMany(keys: readonly Key[]): Promise<(Entry | null)[]> {
    this.#assertAlive();
    return this.#inner.getMany(keys);
  }

  list(prefix: Key, options?: ListOptions): AsyncIterable<Entry> {
    this.#assertAlive();
    return this.#inner.list(prefix, options);
  }

  async atomic(checks: readonly Check[], mutations: readonly Mutation[]): Promise<string | null> {
    this.#assertAlive();
    if (this.#left-- > 0) return await this.#inner.atomic(checks, mutations);
    if (this.#after) await this.#inner.atomic(checks, mutations);
    throw new ProcessDied();
  }

  async delete(key: Key): Promise<void> {
    await this.atomic([], [{ type: "delete", key }]);
  }

  close(): void {}

  #assertAlive(): void {
    if (this.#left < 0) throw new ProcessDied();
  }
}

export async function withTempFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "rwkv-store-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
