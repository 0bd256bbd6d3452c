/** What befalls workers and store, one thing every few seconds, by chance. */

import { setTimeout as delay } from "node:timers/promises";
import type { KvServer } from "../fleet/denokv.ts";
import type { Random } from "../../support/random_data.ts";
import { type KvProxy, STORMS } from "./kv_proxy.ts";
import type { SoakWorker } from "./worker.ts";

export interface Befallen {
  workers: readonly SoakWorker[];
  store: KvServer;
  proxy: KvProxy;
}

/** Milliseconds between two faults. */
const BETWEEN = [2_000, 5_000] as const;
/** Milliseconds that bad weather lasts; now and then longer than a worker waits for its store. */
const STORM = [500, 4_000] as const;
const LONG_STORM = 13_000;
/** Milliseconds that a worker may be unready before its platform replaces it. */
const PATIENCE = 20_000;

/** Disturbs all until it is told to end; what it began it finishes. */
export class Faults {
  /** How often each kind has come. */
  readonly counts = new Map<string, number>();
  /** Faults that could not be brought about, or mended. */
  readonly failures: string[] = [];
  /** Workers that are left alone but for their store and their device. */
  readonly spared = new Set<SoakWorker>();
  /** Turns that had ended well when a worker that is spared last lost its device. */
  #endedAtLoss = -1;
  /** When the store was in trouble. */
  readonly #troubles: { from: number; to: number }[] = [];
  readonly #befallen: Befallen;
  readonly #random: Random;
  readonly #underway = new Set<Promise<void>>();

  constructor(befallen: Befallen, random: Random) {
    this.#befallen = befallen;
    this.#random = random;
  }

  async run(until: () => boolean): Promise<void> {
    const { workers, proxy } = this.#befallen;
    const replacing = this.#replaceUnready(until);
    while (!until()) {
      await delay(this.#between(BETWEEN));
      const kinds: [string, (() => Promise<unknown>) | null][] = [
        ["store away", this.#storm()],
        ["store killed", this.#killStore()],
        ["device lost", this.#loseDevice()],
        ["worker killed", this.#end((worker) => worker.kill())],
        ["worker stopped", this.#end((worker) => worker.stop())],
      ];
      const [kind, fault] = this.#random.of(kinds);
      if (fault === null || until()) continue;
      const done = fault()
        .then((came) => {
          if (came !== false) this.#count(kind);
        })
        .catch((error) => void this.failures.push(`${kind}: ${error}`))
        .finally(() => this.#underway.delete(done));
      this.#underway.add(done);
    }
    await Promise.all([replacing, ...this.#underway]);
    proxy.weather = "fine";
    for (const worker of workers) await this.#waitFor(worker);
  }

  /** Until it is ready; one that does not become so is replaced. */
  async #waitFor(worker: SoakWorker): Promise<void> {
    const since = performance.now();
    while (await worker.isReady() !== true) {
      if (performance.now() - since > PATIENCE) {
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

  #between([least, most]: readonly [number, number]): number {
    return least + this.#random.below(most - least);
  }

  #storm(): (() => Promise<void>) | null {
    const { proxy } = this.#befallen;
    if (proxy.weather !== "fine") return null;
    const weather = this.#random.of(STORMS);
    const lasts = this.#random.chance(0.1) ? LONG_STORM : this.#between(STORM);
    return () =>
      this.#trouble(async () => {
        proxy.weather = weather;
        await delay(lasts);
        proxy.weather = "fine";
      });
  }

  #killStore(): (() => Promise<void>) | null {
    const { store } = this.#befallen;
    const away = this.#between(STORM);
    return this.#once("store", () =>
      this.#trouble(async () => {
        await store.kill();
        await delay(away);
        await store.start();
      }));
  }

  /** Whether the store was in trouble at some time between two. */
  troubled(from: number, to: number): boolean {
    return this.#troubles.some((trouble) => trouble.from <= to && from <= trouble.to);
  }

  async #trouble(work: () => Promise<void>): Promise<void> {
    const trouble = { from: performance.now(), to: Infinity };
    this.#troubles.push(trouble);
    await work();
    trouble.to = performance.now();
  }

  /** A worker that is spared loses none before a turn has ended well: three in a row would end it. */
  #loseDevice(): (() => Promise<boolean>) | null {
    const worker = this.#befallen.workers.find(({ hasDevice, runs }) => hasDevice && runs);
    if (worker === undefined) return null;
    return async () => {
      if (this.spared.has(worker)) {
        const of = await worker.metrics().catch(() => null);
        const ended = of?.("request_success_total", '"stop"') ?? this.#endedAtLoss;
        if (ended === this.#endedAtLoss) return false;
        this.#endedAtLoss = ended;
      }
      worker.loseDevice();
      return true;
    };
  }

  /** One worker at least goes on. */
  #end(how: (worker: SoakWorker) => Promise<void>): (() => Promise<void>) | null {
    const running = this.#befallen.workers.filter(({ runs }) => runs);
    const choices = running.filter((worker) => !this.spared.has(worker));
    if (running.length < this.#befallen.workers.length || choices.length === 0) return null;
    const worker = this.#random.of(choices);
    return this.#once("worker", async () => {
      await how(worker);
      await worker.start();
    });
  }

  readonly #busy = new Set<string>();

  /** `null` while one of the kind is under way. */
  #once(kind: string, work: () => Promise<void>): (() => Promise<void>) | null {
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

  /** Does what a platform does with a worker that is not ready for long. */
  async #replaceUnready(until: () => boolean): Promise<void> {
    const since = new Map<SoakWorker, number>();
    while (!until()) {
      await delay(500);
      for (const worker of this.#befallen.workers) {
        if (!worker.runs || await worker.isReady() !== false) since.delete(worker);
        else if (!since.has(worker)) since.set(worker, performance.now());
        else if (performance.now() - since.get(worker)! > PATIENCE) {
          since.delete(worker);
          const replace = this.#once("worker", async () => {
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
