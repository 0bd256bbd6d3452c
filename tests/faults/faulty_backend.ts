/** A database that fails as databases do: slowly, at random, with answers that get lost, or for want of room. */

import { InferenceError } from "../../src/core/errors.ts";
import {
  type Backend,
  type Check,
  type Entry,
  type Key,
  LIMITS,
  type ListOptions,
  type Mutation,
} from "../../src/store/backend.ts";
import type { Random } from "../random_data.ts";

/** How likely each fault is, of an operation. */
export interface Faults {
  /** It takes some turns of the event loop. */
  slow: number;
  /** It is not done. */
  fails: number;
  /** It is done, and nobody hears of it. */
  lost: number;
  /** Nothing is written, nor deleted. */
  full: boolean;
}

export const NO_FAULTS: Faults = { slow: 0, fails: 0, lost: 0, full: false };

/** In front of a database that works. */
export class FaultyBackend implements Backend {
  readonly name = "faulty";
  readonly valueBytes: number = LIMITS.valueBytes;
  /** As they are now. */
  faults: Faults = NO_FAULTS;
  /** How many operations have failed. */
  failures = 0;
  readonly #inner: Backend;
  readonly #random: Random;

  constructor(inner: Backend, random: Random) {
    this.#inner = inner;
    this.#random = random;
  }

  get(key: Key): Promise<Entry | null> {
    return this.#faulty(() => this.#inner.get(key));
  }

  getMany(keys: readonly Key[]): Promise<(Entry | null)[]> {
    return this.#faulty(() => this.#inner.getMany(keys));
  }

  async *list(prefix: Key, options?: ListOptions): AsyncGenerator<Entry> {
    for (
      const entry of await this.#faulty(() => Array.fromAsync(this.#inner.list(prefix, options)))
    ) {
      // It may break off in the middle.
      yield await this.#faulty(() => Promise.resolve(entry));
    }
  }

  atomic(checks: readonly Check[], mutations: readonly Mutation[]): Promise<string | null> {
    return this.#faulty(() => this.#inner.atomic(checks, mutations), { writes: true });
  }

  async delete(key: Key): Promise<void> {
    await this.atomic([], [{ type: "delete", key }]);
  }

  close(): void {}

  async #faulty<T>(operation: () => Promise<T>, { writes = false } = {}): Promise<T> {
    const { slow, fails, lost, full } = this.faults;
    if (this.#random.chance(slow)) {
      for (let i = this.#random.below(4); i >= 0; i--) {
        await new Promise((done) => setTimeout(done));
      }
    }
    if (this.#random.chance(fails) || full && writes) throw this.#failure();
    const done = await operation();
    if (this.#random.chance(lost)) throw this.#failure();
    return done;
  }

  #failure(): InferenceError {
    this.failures++;
    return new InferenceError("store_unavailable", "a fault of the tests");
  }
}
