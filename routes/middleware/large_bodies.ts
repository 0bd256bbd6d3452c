/**
 * Large JSON bodies are processed one at a time, and for a third of the thread's time at most: they
 * cost the same whether they are refused or not, and other requests are to be served in between.
 */

import { yieldToEventLoop } from "../../src/core/time_slice.ts";

/** Bodies of fewer bytes are processed at once. */
const LARGE_BYTES = 256 * 1024;
/** Times as long as a body took, for which the next one waits. */
const PAUSE_FACTOR = 2;

/** One step of processing a body; steps of large bodies are in different turns of the event loop. */
export type RunTask = <T>(work: () => T) => Promise<T>;

/** The queue of a worker's large bodies. */
export class LargeBodyQueue {
  #previous: Promise<void> = Promise.resolve();

  /** Processes a body of so many bytes, after those that came before. */
  async process<T>(bytes: number, work: (step: RunTask) => Promise<T>): Promise<T> {
    if (bytes < LARGE_BYTES) return await work((one) => Promise.resolve(one()));
    const previous = this.#previous;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#previous = promise;
    await previous;
    let busy = 0;
    try {
      return await work(async (one) => {
        await yieldToEventLoop();
        const start = performance.now();
        try {
          return one();
        } finally {
          busy += performance.now() - start;
        }
      });
    } finally {
      setTimeout(resolve, PAUSE_FACTOR * busy);
    }
  }
}
