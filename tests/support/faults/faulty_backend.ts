/** A backend with injected faults: delays, random failures, lost replies and a full disk. */

import { setImmediate } from "node:timers/promises";
import { InferenceError } from "../../../src/core/errors.ts";
import type { Backend } from "../../../src/store/backends/backend.ts";
import type { Random } from "../random_data.ts";
import { BackendWrapper } from "./backend_wrapper.ts";

/** Probability of each fault, per operation. */
export interface BackendFaults {
  /** The operation takes some iterations of the event loop. */
  delayed: number;
  /** The operation fails without effect. */
  failed: number;
  /** The operation takes effect, but reports a failure. */
  lostReply: number;
  /** All writes and deletions fail. */
  diskFull: boolean;
}

export const NO_BACKEND_FAULTS: BackendFaults = {
  delayed: 0,
  failed: 0,
  lostReply: 0,
  diskFull: false,
};

/** Injects faults into the operations of a working backend. */
export class FaultyBackend extends BackendWrapper {
  /** The current faults. */
  faults: BackendFaults = NO_BACKEND_FAULTS;
  /** Number of failed operations. */
  failures = 0;
  readonly #random: Random;

  constructor(inner: Backend, random: Random) {
    super(inner);
    this.#random = random;
  }

  protected async intercept<T>(operation: () => Promise<T>, writes: boolean): Promise<T> {
    const { delayed, failed, lostReply, diskFull } = this.faults;
    if (this.#random.chance(delayed)) {
      for (let i = this.#random.below(4); i >= 0; i--) {
        await setImmediate();
      }
    }
    if (this.#random.chance(failed) || diskFull && writes) throw this.#failure();
    const result = await operation();
    if (this.#random.chance(lostReply)) throw this.#failure();
    return result;
  }

  #failure(): InferenceError {
    this.failures++;
    return new InferenceError("store_unavailable", "Injected fault");
  }
}
