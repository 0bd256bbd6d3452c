/** A backend that passes every operation on another backend through one method. */

import {
  type Backend,
  type Check,
  type Entry,
  type Key,
  LIMITS,
  type ListOptions,
  type Mutation,
} from "../../../src/store/backends/backend.ts";

/** Base class of backends that inject faults or control the order of operations. */
export abstract class BackendWrapper implements Backend {
  readonly name = "wrapper";
  readonly valueBytes: number = LIMITS.valueBytes;
  readonly #inner: Backend;

  constructor(inner: Backend) {
    this.#inner = inner;
  }

  /** Performs an operation or fails. A listing is one operation per entry and one for its end. */
  protected abstract intercept<T>(operation: () => Promise<T>, writes: boolean): Promise<T>;

  get(key: Key): Promise<Entry | null> {
    return this.intercept(() => this.#inner.get(key), false);
  }

  getMany(keys: readonly Key[]): Promise<(Entry | null)[]> {
    return this.intercept(() => this.#inner.getMany(keys), false);
  }

  async *list(prefix: Key, options?: ListOptions): AsyncGenerator<Entry> {
    const entries = this.#inner.list(prefix, options)[Symbol.asyncIterator]();
    while (true) {
      const { done, value } = await this.intercept(() => entries.next(), false);
      if (done) return;
      yield value;
    }
  }

  atomic(checks: readonly Check[], mutations: readonly Mutation[]): Promise<string | null> {
    return this.intercept(() => this.#inner.atomic(checks, mutations), true);
  }

  delete(key: Key): Promise<void> {
    return this.intercept(() => this.#inner.delete(key), true);
  }

  close(): void {}
}
