/**
 * A link to a server that may be down, hang and come back: every use ends in bounded time, and the
 * next one after a failure opens a new handle.
 *
 * Clients try again by themselves, some of them for ever and after their handle was closed as well.
 * So what is under way on a failed handle is left to itself, and few uses run at once on each, that
 * few are left.
 */

import { deferred } from "../../core/deferred.ts";

/** Uses that run at once on a handle. */
const AT_ONCE = 16;
/** Milliseconds after which a handle that is still being opened is given up for another one. */
const OPENING_MS = 60_000;

export interface ReconnectingClientOptions<H> {
  /** Opens a handle, and rejects unless it works. */
  open: () => Promise<H>;
  close: (handle: H) => void;
  /** Told what is wrong when uses begin to fail, and `null` when they succeed again. */
  onChange?: ((error: unknown) => void) | undefined;
}

/** There was no answer in time. What was asked for may happen still. */
export class TimeoutError extends Error {
  override readonly name = "NoAnswer";

  constructor() {
    super("there was no answer in time");
  }
}

/** A handle, open or being opened. */
interface Connection<H> {
  handle: Promise<H>;
  /** Milliseconds of `performance.now()`. */
  since: number;
  open: boolean;
  turns: Semaphore;
}

export class ReconnectingClient<H> {
  readonly #options: ReconnectingClientOptions<H>;
  #line: Connection<H> | null = null;
  #fails = false;
  #closed = false;

  constructor(options: ReconnectingClientOptions<H>) {
    this.#options = options;
  }

  /**
   * Runs `operation` on a handle that works. Rejects as it does, as opening does, or with NoAnswer
   * when `milliseconds` are over.
   */
  async use<T>(operation: (handle: H) => Promise<T>, milliseconds: number): Promise<T> {
    const until = performance.now() + milliseconds;
    const left = () => until - performance.now();
    try {
      while (true) {
        const line = this.#current();
        const handle = await withTimeout(line.handle, left());
        await line.turns.take(left());
        // The others may have found that it fails.
        if (line !== this.#line) continue;
        const result = await this.#run(line, () => withTimeout(operation(handle), left()));
        if (line === this.#line) this.#tell(null);
        return result;
      }
    } catch (error) {
      this.#tell(error);
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#line !== null) this.#giveUp(this.#line);
  }

  async #run<T>(line: Connection<H>, operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      this.#giveUp(line);
      throw error;
    } finally {
      line.turns.give();
    }
  }

  #current(): Connection<H> {
    if (this.#closed) throw new Error("it is closed");
    const line = this.#line;
    if (line !== null) {
      if (line.open || performance.now() - line.since < OPENING_MS) return line;
      this.#giveUp(line);
    }
    return this.#line = this.#open();
  }

  #open(): Connection<H> {
    const handle = this.#options.open();
    const line = { handle, since: performance.now(), open: false, turns: new Semaphore(AT_ONCE) };
    handle.then(() => line.open = true, () => this.#giveUp(line));
    return line;
  }

  #giveUp(line: Connection<H>): void {
    if (line !== this.#line) return;
    this.#line = null;
    line.turns.dismiss();
    line.handle.then(this.#options.close, () => {});
  }

  #tell(error: unknown): void {
    const fails = error !== null;
    if (this.#closed || fails === this.#fails) return;
    this.#fails = fails;
    this.#options.onChange?.(error);
  }
}

/** Lets so many run at once, in the order in which they came. */
class Semaphore {
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(free: number) {
    this.#free = free;
  }

  async take(milliseconds: number): Promise<void> {
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

  give(): void {
    for (const wake of this.#waiting) return wake();
    this.#free++;
  }

  /** Ends all waiting. */
  dismiss(): void {
    for (const wake of this.#waiting) wake();
  }
}

/** What `promise` comes to, unless that takes longer: then NoAnswer. */
export async function withTimeout<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  const { promise: late, reject } = deferred<never>();
  const timer = setTimeout(() => reject(new TimeoutError()), Math.max(0, milliseconds));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
