/**
 * A client of a server that may be down, hang or restart. Every operation has a timeout, and the
 * next operation after a failure opens a new handle.
 *
 * A handle repeats failed operations itself, some of them forever and even after it was closed. The
 * client therefore abandons the operations of a failed handle, and limits their number per handle.
 */

import { deferred } from "../../core/deferred.ts";

/** Maximum concurrent operations on a handle. */
const MAX_CONCURRENT = 16;
/** Milliseconds after which a handle that is still opening is abandoned. */
const OPEN_TIMEOUT_MS = 60_000;

export interface ReconnectingClientOptions<H> {
  /** Opens a handle and rejects unless it works. */
  open: () => Promise<H>;
  close: (handle: H) => void;
  /** Called with the error when operations start to fail, and with `null` when they recover. */
  onChange?: ((error: unknown) => void) | undefined;
}

/** There was no response in time. The operation may still be applied. */
export class TimeoutError extends Error {
  override readonly name = "TimeoutError";

  constructor() {
    super("there was no response in time");
  }
}

/** A handle that is open or opening. */
interface Connection<H> {
  handle: Promise<H>;
  /** Milliseconds of `performance.now()`. */
  since: number;
  open: boolean;
  semaphore: Semaphore;
}

export class ReconnectingClient<H> {
  readonly #options: ReconnectingClientOptions<H>;
  #connection: Connection<H> | null = null;
  #failing = false;
  #closed = false;

  constructor(options: ReconnectingClientOptions<H>) {
    this.#options = options;
  }

  /**
   * Runs `operation` on a working handle. Rejects with the error of the operation or of opening
   * the handle, or with `TimeoutError` after `milliseconds`.
   */
  async use<T>(operation: (handle: H) => Promise<T>, milliseconds: number): Promise<T> {
    const until = performance.now() + milliseconds;
    const left = () => until - performance.now();
    try {
      while (true) {
        const connection = this.#current();
        const handle = await withTimeout(connection.handle, left());
        await connection.semaphore.acquire(left());
        // Another operation may have found that the handle failed.
        if (connection !== this.#connection) continue;
        const result = await this.#run(connection, () => withTimeout(operation(handle), left()));
        if (connection === this.#connection) this.#notify(null);
        return result;
      }
    } catch (error) {
      this.#notify(error);
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#connection !== null) this.#abandon(this.#connection);
  }

  async #run<T>(connection: Connection<H>, operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      this.#abandon(connection);
      throw error;
    } finally {
      connection.semaphore.release();
    }
  }

  #current(): Connection<H> {
    if (this.#closed) throw new Error("it is closed");
    const connection = this.#connection;
    if (connection !== null) {
      const { open, since } = connection;
      if (open || performance.now() - since < OPEN_TIMEOUT_MS) return connection;
      this.#abandon(connection);
    }
    return this.#connection = this.#open();
  }

  #open(): Connection<H> {
    const handle = this.#options.open();
    const semaphore = new Semaphore(MAX_CONCURRENT);
    const connection = { handle, since: performance.now(), open: false, semaphore };
    handle.then(() => connection.open = true, () => this.#abandon(connection));
    return connection;
  }

  #abandon(connection: Connection<H>): void {
    if (connection !== this.#connection) return;
    this.#connection = null;
    connection.semaphore.releaseAll();
    connection.handle.then(this.#options.close, () => {});
  }

  #notify(error: unknown): void {
    const failing = error !== null;
    if (this.#closed || failing === this.#failing) return;
    this.#failing = failing;
    this.#options.onChange?.(error);
  }
}

/** A counting semaphore that serves waiters in order. */
class Semaphore {
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(free: number) {
    this.#free = free;
  }

  async acquire(milliseconds: number): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(wake);
        reject(new TimeoutError());
      }, Math.max(0, milliseconds));
      this.#waiting.add(wake);
    });
  }

  release(): void {
    for (const wake of this.#waiting) return wake();
    this.#free++;
  }

  /** Wakes all waiters. */
  releaseAll(): void {
    for (const wake of this.#waiting) wake();
  }
}

/** Returns the result of `promise`, or throws `TimeoutError` if it takes longer. */
export async function withTimeout<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  const { promise: late, reject } = deferred<never>();
  const timer = setTimeout(() => reject(new TimeoutError()), Math.max(0, milliseconds));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
