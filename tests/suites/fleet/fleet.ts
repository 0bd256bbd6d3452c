/** A fleet of workers behind a proxy, on one store, with injected faults. */

import { setTimeout as pause } from "node:timers/promises";
import { type KvServer } from "./denokv.ts";
import { Proxy } from "./proxy.ts";
import { FleetWorker, type WorkerOptions } from "./workers.ts";

const WORKERS = 3;
/** Number of times that the store is killed. */
export const STORE_KILLS = 2;
/** Milliseconds until the store restarts. */
const STORE_DOWNTIME_MS = 1000;

export interface Kills {
  workers: number;
  stores: number;
}

export class Fleet implements AsyncDisposable {
  readonly workers: readonly FleetWorker[];
  readonly proxy: Proxy;
  readonly #store: KvServer;
  /** Restarts in progress. */
  readonly #starting = new Set<Promise<void>>();

  constructor(store: KvServer, options: Omit<WorkerOptions, "kv">) {
    this.#store = store;
    this.workers = Array.from(
      { length: WORKERS },
      () => new FleetWorker({ ...options, kv: store.url }),
    );
    this.proxy = new Proxy(this.workers);
  }

  async start(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.start()));
  }

  /**
   * Kills a worker every `every` milliseconds, and the store at fixed fractions of the progress.
   * All restart on their ports. Ends when `progress` reaches 1.
   */
  async injectFaults(progress: () => number, every: number): Promise<Kills> {
    const kills = { workers: 0, stores: 0 };
    let last = performance.now();
    while (progress() < 1) {
      await pause(50);
      if (kills.stores < STORE_KILLS && progress() > (kills.stores + 1) / (STORE_KILLS + 1)) {
        await this.#store.kill();
        await pause(STORE_DOWNTIME_MS);
        await this.#store.start();
        kills.stores++;
      }
      const running = this.workers.filter((worker) => worker.runs);
      if (performance.now() - last < every || running.length < 2) continue;
      last = performance.now();
      const worker = running[Math.floor(Math.random() * running.length)];
      await worker.kill();
      kills.workers++;
      const starting = worker.start().finally(() => this.#starting.delete(starting));
      starting.catch(() => {}); // awaited below
      this.#starting.add(starting);
    }
    await Promise.all(this.#starting);
    return kills;
  }

  /** Restarts all workers, which clears their memory. */
  async restart(): Promise<void> {
    await Promise.all(this.workers.map(async (worker) => {
      await worker.kill();
      await worker.start();
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()));
    await this.proxy[Symbol.asyncDispose]();
  }
}
