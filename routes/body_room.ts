/** What all request bodies under way may take of memory: many large ones, sent slowly, take none else's. */

import { InferenceError } from "../src/core/errors.ts";

/** Of a whole room, the part that one tenant may have. */
const SHARE = 0.5;

/** What one request holds, until it is disposed of. */
export interface HeldRoom extends Disposable {
  /** @throws InferenceError `overloaded` if there is no room for so many bytes more */
  take(bytes: number): void;
}

/**
 * Room for the bodies of all requests. One that comes while its tenant sends no other, or while nobody
 * does, is taken however large it is: bodies have a bound of their own.
 */
export class BodyRoom {
  readonly #bytes: number;
  #taken = 0;
  readonly #byTenant = new Map<string, number>();

  /** @param bytes Of all bodies together. */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Begins a request of a tenant's. */
  hold(tenant: string): HeldRoom {
    let own = 0;
    const add = (bytes: number) => {
      own += bytes;
      this.#taken += bytes;
      const left = this.#of(tenant) + bytes;
      if (left > 0) this.#byTenant.set(tenant, left);
      else this.#byTenant.delete(tenant);
    };
    return {
      take: (bytes) => {
        this.#assertRoom(this.#taken, { own, bytes, most: this.#bytes });
        this.#assertRoom(this.#of(tenant), { own, bytes, most: SHARE * this.#bytes });
        add(bytes);
      },
      [Symbol.dispose]: () => add(-own),
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
      `Cannot take this body now: those under way have ${taken} bytes, of ${most} that they may; ` +
        "try again when they have come",
    );
  }
}
