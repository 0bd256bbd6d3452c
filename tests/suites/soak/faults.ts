/** Injects random faults into workers and store, one every few seconds. */

import { setTimeout as delay } from "node:timers/promises";
import type { KvServer } from "../fleet/denokv.ts";
import type { Random } from "../../support/random_data.ts";
import { FAULT_MODES, type KvProxy } from "./kv_proxy.ts";
import type { SoakWorker } from "./worker.ts";

export interface FaultTargets {
  workers: readonly SoakWorker[];
  store: KvServer;
  proxy: KvProxy;
}

/** Range of milliseconds between two faults. */
const PAUSE_MS = [2_000, 5_000] as const;
/** Range of milliseconds of a store outage; a long one exceeds a worker's store timeout. */
const OUTAGE_MS = [500, 4_000] as const;
const LONG_OUTAGE_MS = 13_000;
/** Milliseconds after which a worker that is not ready is replaced, as a platform does. */
const REPLACE_AFTER_MS = 20_000;

/** Injects faults until it is stopped; faults in progress run to completion. */
export class Faults {
  /** Number of faults of each kind. */
  readonly counts = new Map<string, number>();
  /** Faults that could not be injected or reverted. */
  readonly failures: string[] = [];
  /** Workers that are neither killed nor stopped. */
  readonly protectedWorkers = new Set<SoakWorker>();
  /** Finished turns of a protected worker at its last device loss. */
  #finishedAtLoss = -1;
  /** Times of store outages. */
  readonly #outages: { from: number; to: number }[] = [];
  readonly #targets: FaultTargets;
  readonly #random: Random;
  readonly #inProgress = new Set<Promise<void>>();

  constructor(targets: FaultTargets, random: Random) {
    this.#targets = targets;
    this.#random = random;
  }

  async run(until: () => boolean): Promise<void> {
    const { workers, proxy } = this.#targets;
    const replacing = this.#replaceUnready(until);
    while (!until()) {
      await delay(this.#between(PAUSE_MS));
      const kinds: [string, (() => Promise<unknown>) | null][] = [
        ["store fault", this.#disturbStore()],
        ["store killed", this.#killStore()],
        ["device lost", this.#loseDevice()],
        ["worker killed", this.#endWorker((worker) => worker.kill())],
        ["worker stopped", this.#endWorker((worker) => worker.stop())],
      ];
      const [kind, fault] = this.#random.of(kinds);
      if (fault === null || until()) continue;
      const done = fault()
        .then((injected) => {
          if (injected !== false) this.#count(kind);
        })
        .catch((error) => void this.failures.push(`${kind}: ${error}`))
        .finally(() => this.#inProgress.delete(done));
      this.#inProgress.add(done);
    }
    await Promise.all([replacing, ...this.#inProgress]);
    proxy.mode = "none";
    for (const worker of workers) await this.#waitFor(worker);
  }

  /** Waits until a worker is ready; replaces it if it takes too long. */
  async #waitFor(worker: SoakWorker): Promise<void> {
    const since = performance.now();
    while (await worker.isReady() !== true) {
      if (performance.now() - since > REPLACE_AFTER_MS) {
        this.#count("unready worker replaced");
        await worker.stop();
        await worker.start();
        return;
      }
      await delay(200);
    }
  }

  #count(kind: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  #between([min, max]: readonly [number, number]): number {
    return min + this.#random.below(max - min);
  }

  #disturbStore(): (() => Promise<void>) | null {
    const { proxy } = this.#targets;
    if (proxy.mode !== "none") return null;
    const mode = this.#random.of(FAULT_MODES);
    const duration = this.#random.chance(0.1) ? LONG_OUTAGE_MS : this.#between(OUTAGE_MS);
    return () =>
      this.#recordOutage(async () => {
        proxy.mode = mode;
        await delay(duration);
        proxy.mode = "none";
      });
  }

  #killStore(): (() => Promise<void>) | null {
    const { store } = this.#targets;
    const duration = this.#between(OUTAGE_MS);
    return this.#exclusive("store", () =>
      this.#recordOutage(async () => {
        await store.kill();
        await delay(duration);
        await store.start();
      }));
  }

  /** Returns whether a store outage overlaps the given time. */
  hadStoreOutage(from: number, to: number): boolean {
    return this.#outages.some((outage) => outage.from <= to && from <= outage.to);
  }

  async #recordOutage(work: () => Promise<void>): Promise<void> {
    const outage = { from: performance.now(), to: Infinity };
    this.#outages.push(outage);
    await work();
    outage.to = performance.now();
  }

  /**
   * Loses a device. A protected worker loses it only after a finished turn, because three losses in
   * a row would end the process.
   */
  #loseDevice(): (() => Promise<boolean>) | null {
    const worker = this.#targets.workers.find(({ hasDevice, runs }) => hasDevice && runs);
    if (worker === undefined) return null;
    return async () => {
      if (this.protectedWorkers.has(worker)) {
        const of = await worker.metrics().catch(() => null);
        const finished = of?.("request_success_total", '"stop"') ?? this.#finishedAtLoss;
        if (finished === this.#finishedAtLoss) return false;
        this.#finishedAtLoss = finished;
      }
      worker.loseDevice();
      return true;
    };
  }

  /** Ends a worker, unless another one is down. */
  #endWorker(how: (worker: SoakWorker) => Promise<void>): (() => Promise<void>) | null {
    const running = this.#targets.workers.filter(({ runs }) => runs);
    const choices = running.filter((worker) => !this.protectedWorkers.has(worker));
    if (running.length < this.#targets.workers.length || choices.length === 0) return null;
    const worker = this.#random.of(choices);
    return this.#exclusive("worker", async () => {
      await how(worker);
      await worker.start();
    });
  }

  readonly #busy = new Set<string>();

  /** Returns `null` while a fault of the same kind is in progress. */
  #exclusive(kind: string, work: () => Promise<void>): (() => Promise<void>) | null {
    if (this.#busy.has(kind)) return null;
    return async () => {
      this.#busy.add(kind);
      try {
        await work();
      } finally {
        this.#busy.delete(kind);
      }
    };
  }

  /** Replaces workers that are not ready for too long, as a platform does. */
  async #replaceUnready(until: () => boolean): Promise<void> {
    const since = new Map<SoakWorker, number>();
    while (!until()) {
      await delay(500);
      for (const worker of this.#targets.workers) {
        if (!worker.runs || await worker.isReady() !== false) since.delete(worker);
        else if (!since.has(worker)) since.set(worker, performance.now());
        else if (performance.now() - since.get(worker)! > REPLACE_AFTER_MS) {
          since.delete(worker);
          const replace = this.#exclusive("worker", async () => {
            await worker.stop();
            await worker.start();
          });
          if (replace === null) continue;
          this.#count("unready worker replaced");
          await replace();
        }
      }
    }
  }
}
