/** Several actors on one backend, their operations one at a time in an order that a test chooses. */

import type { Backend } from "../../../src/store/backends/backend.ts";
import { BackendWrapper } from "../../support/faults/backend_wrapper.ts";

/** Something that uses a backend as if it were alone. */
export type Actor = (backend: Backend) => Promise<unknown>;

/** Of the actors that wait for their next operation, the one whose turn it is. */
export type Pick = (waiting: readonly number[]) => number;

/** Runs all actors to their ends; throws what one of them throws. */
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
    const turn = () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      queues[i].push(resolve);
      next();
      return promise;
    };
    try {
      await actor(new TurnBackend(inner, { turn, done: next }));
    } finally {
      running.delete(i);
      next();
    }
  }));
}

/** `first` does `steps` operations, then `second` all of its own, then `first` the rest. */
export function preempt(first: number, second: number, steps: number): Pick {
  let done = 0;
  return (waiting) => {
    const wanted = done++ < steps ? first : second;
    return waiting.includes(wanted) ? wanted : waiting[0];
  };
}

/** Waits for its turn before each operation, and says when it is done. */
class TurnBackend extends BackendWrapper {
  readonly #options: { turn: () => Promise<void>; done: () => void };

  constructor(inner: Backend, options: { turn: () => Promise<void>; done: () => void }) {
    super(inner);
    this.#options = options;
  }

  protected async intercept<T>(operation: () => Promise<T>): Promise<T> {
    await this.#options.turn();
    try {
      return await operation();
    } finally {
      this.#options.done();
    }
  }
}
