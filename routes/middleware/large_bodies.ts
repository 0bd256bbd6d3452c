/**
 * A queue for large JSON bodies. They are processed one at a time and for at most a third of the
 * thread's time, so that the worker can serve other requests in between.
 */

import { yieldToEventLoop } from "../../src/core/time_slice.ts";

/** Smaller bodies bypass the queue. */
const LARGE_BYTES = 256 * 1024;
/** The next body waits for the processing time of the previous one, times this factor. */
const PAUSE_FACTOR = 2;

/** Runs one task of processing a body. The tasks of a large body yield to the event loop. */
export type RunTask = <T>(work: () => T) => Promise<T>;

/** The queue of large bodies of one worker. */
export class LargeBodyQueue {
  #previous: Promise<void> = Promise.resolve();

  /** Processes a body with `bytes` bytes after all bodies queued before. */
  async process<T>(bytes: number, work: (run: RunTask) => Promise<T>): Promise<T> {
    if (bytes < LARGE_BYTES) return await work((task) => Promise.resolve(task()));
    const previous = this.#previous;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#previous = promise;
    await previous;
    let busy = 0;
    try {
      return await work(async (task) => {
        await yieldToEventLoop();
        const start = performance.now();
        try {
          return task();
        } finally {
          busy += performance.now() - start;
        }
      });
    } finally {
      setTimeout(resolve, PAUSE_FACTOR * busy);
    }
  }
}
