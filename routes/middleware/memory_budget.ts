/**
 * The memory budget of all concurrent requests. It bounds request bodies and fetched data, so that
 * many large requests of slow clients cannot exhaust the memory.
 */

import type { Context, MiddlewareHandler } from "hono";
import { InferenceError } from "../../src/core/errors.ts";
import { callerOf } from "./authentication.ts";

/** Fraction of the budget that one tenant may use. */
const TENANT_SHARE = 0.5;

/** The memory of one request, released on dispose. */
export interface MemoryLease extends Disposable {
  /**
   * Reserves more bytes for the request.
   *
   * @throws InferenceError `overloaded` if the budget is exhausted
   */
  reserve(bytes: number): void;
}

/**
 * Accounts for the memory of all requests. The tenant share does not apply to a tenant's only
 * request, because bodies and states have separate size limits.
 */
export class MemoryBudget {
  readonly #bytes: number;
  #reserved = 0;
  readonly #byTenant = new Map<string, number>();

  /** @param bytes The budget of all requests. */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Opens the lease of one request. */
  lease(tenant: string): MemoryLease {
    let own = 0;
    let released = false;
    const add = (bytes: number) => {
      own += bytes;
      this.#reserved += bytes;
      const total = this.#of(tenant) + bytes;
      if (total > 0) this.#byTenant.set(tenant, total);
      else this.#byTenant.delete(tenant);
    };
    return {
      reserve: (bytes) => {
        // Work for a request may continue after its client has disconnected.
        if (released) return;
        this.#assertAvailable(this.#reserved, { own, bytes, limit: this.#bytes });
        this.#assertAvailable(this.#of(tenant), { own, bytes, limit: TENANT_SHARE * this.#bytes });
        add(bytes);
      },
      [Symbol.dispose]: () => {
        released = true;
        add(-own);
      },
    };
  }

  #of(tenant: string): number {
    return this.#byTenant.get(tenant) ?? 0;
  }

  #assertAvailable(
    reserved: number,
    { own, bytes, limit }: { own: number; bytes: number; limit: number },
  ): void {
    if (reserved === own || reserved + bytes <= limit) return;
    throw new InferenceError(
      "overloaded",
      `Request memory exhausted: ${reserved} of ${limit} bytes are in use, ${bytes} more are needed; ` +
        "retry later",
    );
  }
}

const LEASE = "memoryLease";

/** Information about a request that the server may provide. */
interface ServerInfo {
  /** Settles when the response was sent or the client disconnected. */
  completed?: Promise<void>;
}

/** Gives every request a memory lease, which is released once its response was sent. */
export function leaseMemory(budget: MemoryBudget): MiddlewareHandler {
  return async (c, next) => {
    const lease = budget.lease(callerOf(c).tenant);
    c.set(LEASE, lease);
    const { completed } = (c.env ?? {}) as ServerInfo;
    try {
      await next();
    } finally {
      const release = () => lease[Symbol.dispose]();
      if (completed) completed.then(release, release);
      else release();
    }
  };
}

/** Returns the memory lease of a request. */
export function memoryLease(c: Context): MemoryLease {
  return c.get(LEASE);
}
