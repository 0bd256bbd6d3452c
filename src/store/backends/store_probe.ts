/**
 * Probes whether a store is reachable. The result is cached for a few seconds, and slow probes are
 * not awaited.
 */

import type { Backend } from "./backend.ts";
import { DEFAULT_TENANT } from "../../core/tenant.ts";
import { TimeoutError, withTimeout } from "./reconnecting_client.ts";

/** The result of the last probe. */
export interface StoreCondition {
  /** "unknown" before the first result. */
  status: "reachable" | "unreachable" | "unknown";
  /** The problem, without addresses or paths. */
  problem: string | null;
  /** First probe with this status, in epoch milliseconds. */
  since: number;
}

export interface StoreProbeOptions {
  /** Milliseconds for which a result is cached. */
  cacheMs?: number | undefined;
  /** Timeout of a probe in milliseconds. */
  timeoutMs?: number | undefined;
  /** Epoch milliseconds. */
  clock?: (() => number) | undefined;
  /** Called with the error when the store becomes unreachable, and with `null` when it recovers. */
  onChange?: ((error: unknown) => void) | undefined;
}

const CACHE_MS = 3000;
const TIMEOUT_MS = 1500;

/** The key that is read. It does not exist. */
const KEY = [DEFAULT_TENANT, "probe"] as const;

export class StoreProbe {
  readonly #backend: Pick<Backend, "get">;
  readonly #cacheMs: number;
  readonly #timeoutMs: number;
  readonly #clock: () => number;
  readonly #onChange: (error: unknown) => void;
  #status: StoreCondition;
  #probedAt = -Infinity;
  #probing: Promise<void> | null = null;
  /** Whether a read is pending, even after its timeout. */
  #pending = false;

  constructor(backend: Pick<Backend, "get">, options: StoreProbeOptions = {}) {
    this.#backend = backend;
    this.#cacheMs = options.cacheMs ?? CACHE_MS;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#clock = options.clock ?? Date.now;
    this.#onChange = options.onChange ?? (() => {});
    this.#status = { status: "unknown", problem: null, since: this.#clock() };
  }

  /** Returns the cached result, and starts a probe if it is old. */
  last(): StoreCondition {
    void this.probe();
    return this.#status;
  }

  /** Returns the result of a probe, or the cached one if it is recent. */
  async probe(): Promise<StoreCondition> {
    const old = this.#clock() - this.#probedAt >= this.#cacheMs;
    if (old && !this.#pending) {
      this.#probing ??= this.#read().finally(() => this.#probing = null);
    }
    await this.#probing;
    return this.#status;
  }

  async #read(): Promise<void> {
    try {
      const response = this.#backend.get(KEY);
      this.#pending = true;
      const done = () => this.#pending = false;
      response.then(done, done);
      await withTimeout(response, this.#timeoutMs);
      this.#update("reachable", null, null);
    } catch (error) {
      const problem = error instanceof TimeoutError ? "it does not respond in time" : "it fails";
      this.#update("unreachable", problem, error);
    }
    this.#probedAt = this.#clock();
  }

  #update(status: StoreCondition["status"], problem: string | null, error: unknown): void {
    const before = this.#status;
    const changed = before.status !== status;
    const since = changed ? this.#clock() : before.since;
    this.#status = { status, problem, since };
    if (changed && !(before.status === "unknown" && error === null)) this.#onChange(error);
  }
}
