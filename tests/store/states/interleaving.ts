/** Runs several actors on one backend, one operation at a time, in an order that the test chooses. */

import type { Backend } from "../../../src/store/backends/backend.ts";
import { BackendWrapper } from "../../support/faults/backend_wrapper.ts";

/** A task that uses a backend. */
export type Actor = (backend: Backend) => Promise<unknown>;

/** Returns the actor to run next, of those that wait to do an operation. */
export type Pick = (waiting: readonly number[]) => number;

/** Runs all actors until they end. Throws the first error of an actor. */
export async function interleave(
  inner: Backend,
  actors: readonly Actor[],
  pick: Pick,
): Promise<void> {
  const running = new Set(actors.keys());
  const queues = actors.map((): (() => void)[] => []);
  const next = () => {
    const waiting = [...running];
    if (waiting.length > 0 && waiting.every((actor) => queues[actor].length > 0)) {
      queues[pick(waiting)].shift()!();
    }
  };
  await Promise.all(actors.map(async (actor, i) => {
    const waitUntilPicked = () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      queues[i].push(resolve);
      next();
      return promise;
    };
    try {
      await actor(new ScheduledBackend(inner, { waitUntilPicked, onDone: next }));
    } finally {
      running.delete(i);
      next();
    }
  }));
}

/** Picks `first` for `operations` operations, then `second` until it ends, then `first` again. */
export function preempt(first: number, second: number, operations: number): Pick {
  let done = 0;
  return (waiting) => {
    const wanted = done++ < operations ? first : second;
    return waiting.includes(wanted) ? wanted : waiting[0];
  };
}

/** Waits until its actor is picked before each operation, and reports the end of the operation. */
class ScheduledBackend extends BackendWrapper {
  readonly #options: { waitUntilPicked: () => Promise<void>; onDone: () => void };

  constructor(
    inner: Backend,
    options: { waitUntilPicked: () => Promise<void>; onDone: () => void },
  ) {
    super(inner);
    this.#options = options;
  }

  protected async intercept<T>(operation: () => Promise<T>): Promise<T> {
    await this.#options.waitUntilPicked();
    try {
      return await operation();
    } finally {
      this.#options.onDone();
    }
  }
}
