/** A backend with injected faults: delays, random failures, lost replies and a full disk. */

import { setImmediate } from "node:timers/promises";
import { InferenceError } from "../../../src/core/errors.ts";
import type { Backend } from "../../../src/store/backends/backend.ts";
import type { Random } from "../random_data.ts";
import { BackendWrapper } from "./backend_wrapper.ts";

/** Probability of each fault, per operation. */
export interface BackendFaults {
  /** The operation takes some iterations of the event loop. */
  slow: number;
  /** The operation fails without effect. */
  fails: number;
  /** The operation takes effect, but reports a failure. */
  lost: number;
  /** All writes and deletions fail. */
  full: boolean;
}

export const NO_BACKEND_FAULTS: BackendFaults = { slow: 0, fails: 0, lost: 0, full: false };

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
    return new InferenceError("store_unavailable", "Injected fault");
  }
}
