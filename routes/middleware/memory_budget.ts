/**
 * What requests may take of memory together, by what they bring and what they fetch: many large ones
 * whose clients are slow are not to use it up.
 */

import type { Context, MiddlewareHandler } from "hono";
import { InferenceError } from "../../src/core/errors.ts";
import { callerOf } from "./authentication.ts";

/** Of a whole room, the part that one tenant may have. */
const SHARE = 0.5;

/** What one request holds, until it is disposed of. */
export interface MemoryLease extends Disposable {
  /** @throws InferenceError `overloaded` if there is no room for so many bytes more */
  reserve(bytes: number): void;
}

/**
 * Room for the bytes of all requests. One whose tenant has no other is let in however large it is, as
 * long as there is room for all: bodies and states have bounds of their own.
 */
export class MemoryBudget {
  readonly #bytes: number;
  #taken = 0;
  readonly #byTenant = new Map<string, number>();

  /** @param bytes Of all together. */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Begins a request of a tenant's. */
  lease(tenant: string): MemoryLease {
    let own = 0;
    let ended = false;
    const add = (bytes: number) => {
      own += bytes;
      this.#taken += bytes;
      const left = this.#of(tenant) + bytes;
      if (left > 0) this.#byTenant.set(tenant, left);
      else this.#byTenant.delete(tenant);
    };
    return {
      reserve: (bytes) => {
        // A client may have left while something is still done for it.
        if (ended) return;
        this.#assertRoom(this.#taken, { own, bytes, most: this.#bytes });
        this.#assertRoom(this.#of(tenant), { own, bytes, most: SHARE * this.#bytes });
        add(bytes);
      },
      [Symbol.dispose]: () => {
        ended = true;
        add(-own);
      },
    };
  }

  #of(tenant: string): number {
    return this.#byTenant.get(tenant) ?? 0;
  }

  #assertRoom(
    taken: number,
    { own, bytes, most }: { own: number; bytes: number; most: number },
  ): void {
    if (taken === own || taken + bytes <= most) return;
    throw new InferenceError(
      "overloaded",
      `Cannot hold ${bytes} more bytes now: requests under way hold ${taken}, of ${most} that they ` +
        "may; try again when some have ended",
    );
  }
}

const HELD = "held";

/** What the server tells of a request, where it does. */
interface ServerInfo {
  /** Settles when the answer has been sent, or its client has left. */
  completed?: Promise<void>;
}

/** Gives every request what it holds, until its answer has been sent. */
export function leaseMemory(room: MemoryBudget): MiddlewareHandler {
  return async (c, next) => {
    const held = room.lease(callerOf(c).tenant);
    c.set(HELD, held);
    const { completed } = (c.env ?? {}) as ServerInfo;
    try {
      await next();
    } finally {
      const end = () => held[Symbol.dispose]();
      if (completed) completed.then(end, end);
      else end();
    }
  };
}

/** What a request holds. */
export function memoryLease(c: Context): MemoryLease {
  return c.get(HELD);
}
