/**
 * Whether a store can be reached, for those who ask often: it is asked itself every few seconds at
 * most, and an answer that takes long is not waited for.
 */

import type { Backend } from "./backend.ts";
import { DEFAULT_TENANT } from "../../core/tenant.ts";
import { TimeoutError, withTimeout } from "./reconnecting_client.ts";

/** What was found last. */
export interface StoreCondition {
  /** Before the first answer nothing is known. */
  status: "reachable" | "unreachable" | "unknown";
  /** What is wrong, without addresses or paths. */
  problem: string | null;
  /** Since when it is so, as far as it was looked at, in epoch milliseconds. */
  since: number;
}

export interface StoreProbeOptions {
  /** Milliseconds for which an answer is good. */
  every?: number | undefined;
  /** Milliseconds that an answer may take. */
  limit?: number | undefined;
  /** Epoch milliseconds. */
  clock?: (() => number) | undefined;
  /** Told why it can't be reached when that begins, and `null` when it ends. */
  onChange?: ((error: unknown) => void) | undefined;
}

const EVERY_MS = 3000;
const LIMIT_MS = 1500;

/** What is asked for; nothing is there. */
const KEY = [DEFAULT_TENANT, "probe"] as const;

export class StoreProbe {
  readonly #backend: Pick<Backend, "get">;
  readonly #every: number;
  readonly #limit: number;
  readonly #clock: () => number;
  readonly #onChange: (error: unknown) => void;
  #found: StoreCondition;
  #looked = -Infinity;
  #looking: Promise<void> | null = null;
  /** Whether a question has no answer yet, waited for or not. */
  #asked = false;

  constructor(backend: Pick<Backend, "get">, options: StoreProbeOptions = {}) {
    this.#backend = backend;
    this.#every = options.every ?? EVERY_MS;
    this.#limit = options.limit ?? LIMIT_MS;
    this.#clock = options.clock ?? Date.now;
    this.#onChange = options.onChange ?? (() => {});
    this.#found = { status: "unknown", problem: null, since: this.#clock() };
  }

  /** What is known; if it is old, the store is asked anew, for whoever wants to know later. */
  last(): StoreCondition {
    void this.probe();
    return this.#found;
  }

  /** What is known, after asking the store if that is old. */
  async probe(): Promise<StoreCondition> {
    const old = this.#clock() - this.#looked >= this.#every;
    if (old && !this.#asked) {
      this.#looking ??= this.#ask().finally(() => this.#looking = null);
    }
    await this.#looking;
    return this.#found;
  }

  async #ask(): Promise<void> {
    try {
      const answer = this.#backend.get(KEY);
      this.#asked = true;
      const answered = () => this.#asked = false;
      answer.then(answered, answered);
      await withTimeout(answer, this.#limit);
      this.#tell("reachable", null, null);
    } catch (error) {
      const problem = error instanceof TimeoutError ? "it does not answer in time" : "it fails";
      this.#tell("unreachable", problem, error);
    }
    this.#looked = this.#clock();
  }

  #tell(status: StoreCondition["status"], problem: string | null, error: unknown): void {
    const before = this.#found;
    const changed = before.status !== status;
    const since = changed ? this.#clock() : before.since;
    this.#found = { status, problem, since };
    if (changed && !(before.status === "unknown" && error === null)) this.#onChange(error);
  }
}
