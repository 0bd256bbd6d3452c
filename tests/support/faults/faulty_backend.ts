/** A database that fails as databases do: slowly, at random, with answers that get lost, or for want of room. */

import { setImmediate } from "node:timers/promises";
import { InferenceError } from "../../../src/core/errors.ts";
import type { Backend } from "../../../src/store/backends/backend.ts";
import type { Random } from "../random_data.ts";
import { BackendWrapper } from "./backend_wrapper.ts";

/** How likely each fault is, of an operation. */
export interface BackendFaults {
  /** It takes some turns of the event loop. */
  slow: number;
  /** It is not done. */
  fails: number;
  /** It is done, and nobody hears of it. */
  lost: number;
  /** Nothing is written, nor deleted. */
  full: boolean;
}

export const NO_BACKEND_FAULTS: BackendFaults = { slow: 0, fails: 0, lost: 0, full: false };

/** In front of a database that works. */
export class FaultyBackend extends BackendWrapper {
  /** As they are now. */
  faults: BackendFaults = NO_BACKEND_FAULTS;
  /** How many operations have failed. */
  failures = 0;
  readonly #random: Random;

  constructor(inner: Backend, random: Random) {
    super(inner);
    this.#random = random;
  }

  protected async around<T>(operation: () => Promise<T>, writes: boolean): Promise<T> {
    const { slow, fails, lost, full } = this.faults;
    if (this.#random.chance(slow)) {
      for (let i = this.#random.below(4); i >= 0; i--) {
        await setImmediate();
      }
    }
    if (this.#random.chance(fails) || full && writes) throw this.#failure();
    const done = await operation();
    if (this.#random.chance(lost)) throw this.#failure();
    return done;
  }

  #failure(): InferenceError {
    this.failures++;
    return new InferenceError("store_unavailable", "a fault of the tests");
  }
}
