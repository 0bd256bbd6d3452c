/** A worker in virtual time: the real scheduler on an engine that only takes time, and a store. */

import { InferenceError } from "../src/core/errors.ts";
import { NEUTRAL_SAMPLING } from "../src/core/sampling.ts";
import type { SchedulerSnapshot } from "../src/scheduler/scheduler_stats.ts";
import { Scheduler } from "../src/scheduler/scheduler.ts";
import type { StateSource } from "../src/scheduler/scheduler_types.ts";
import { BlobCache } from "../src/store/states/blob_cache.ts";
import type { VirtualClock } from "./clock.ts";
import type { Cores } from "./cores.ts";
import { SimulatedEngine } from "./engine.ts";
import type { SpeedProfile } from "./speed_profile.ts";
import type { TurnTimes } from "./turn_times.ts";

/** What all workers have alike. Times in milliseconds. */
export interface WorkerOptions {
  profile: SpeedProfile;
  slots: number;
  /** Turns that wait for a slot at most. */
  queue: number;
  maxStepTokens: number;
  /** Of states as they are stored: those that its memory has room for, and one. */
  cacheBytes: number;
  stateBytes: number;
  /** How long the store takes for a state. */
  kv: { load: number; save: number };
  /** What a request takes before it is the scheduler's. */
  request: number;
  /** What a turn may take. */
  timeoutMs: number;
  /** Tokens that clients let a reply have, or that there are to be exactly as many as it will have. */
  maxTokens: number | "exact";
}

export interface SimulatedTurn {
  /** Names the state that it goes on from; `null`: a new conversation. */
  parent: string | null;
  /** Names the state that it leads to. */
  child: string;
  prompt: number;
  reply: number;
}

const STATE = new Float32Array();

export class SimulatedWorker {
  readonly engine: SimulatedEngine;
  readonly #clock: VirtualClock;
  readonly #options: WorkerOptions;
  readonly #scheduler: Scheduler;
  readonly #cache: BlobCache;
  /** Stands for every state: only its size counts. */
  readonly #blob: Uint8Array;
  /** Turns that it has and has not answered. */
  present = 0;
  /** States that were read from the store, and that were written to it. */
  loads = 0;
  saves = 0;

  constructor(clock: VirtualClock, cores: Cores, options: WorkerOptions) {
    const { profile, slots, maxStepTokens, queue, cacheBytes, stateBytes } = options;
    this.#clock = clock;
    this.#options = options;
    this.engine = new SimulatedEngine({ clock, cores, profile, slots, maxStepTokens });
    this.#scheduler = new Scheduler(this.engine, { maxQueue: queue, clock: () => clock.now });
    this.#cache = new BlobCache(cacheBytes);
    this.#blob = new Uint8Array(stateBytes);
  }

  get numbers(): SchedulerSnapshot {
    return this.#scheduler.snapshot;
  }

  /** Runs a turn, from the request to the end of its answer, and notes what happens when. */
  async serve(asked: SimulatedTurn, times: TurnTimes): Promise<void> {
    this.present++;
    await this.#clock.wait(this.#options.request);
    try {
      await this.#run(asked, times);
    } catch (error) {
      if (!(error instanceof InferenceError && error.code === "overloaded")) throw error;
      times.refused = true;
    }
    times.ended = this.#clock.now;
    this.present--;
  }

  async #run({ parent, child, prompt, reply }: SimulatedTurn, times: TurnTimes): Promise<void> {
    const { maxTokens, timeoutMs: within, kv } = this.#options;
    const generation = this.#scheduler.submit({
      state: parent === null ? null : this.#source(parent),
      tokens: new Array(prompt).fill(1),
      sampling: { ...NEUTRAL_SAMPLING, seed: BigInt(reply) },
      counts: new Map(),
      position: 0,
      maxTokens: maxTokens === "exact" ? reply : Math.max(maxTokens, reply),
      endToken: null,
      stops: null,
      timeoutMs: within,
    });
    for await (const { tokens } of generation) {
      times.texts.push({ at: this.#clock.now, tokens: tokens.length });
    }
    const { state } = await generation.finished;
    times.queued = generation.queuedMs;
    if (state === null) {
      throw new InferenceError(
        "overloaded",
        "Cannot run the turn: no slot was free within its time limit; retry later",
      );
    }
    await this.#clock.wait(kv.save);
    this.saves++;
    this.#cache.set(child, this.#blob);
    generation.keepWarm(child, STATE);
  }

  #source(id: string): StateSource {
    return {
      stateKey: id,
      load: async () => {
        if (this.#cache.get(id) !== undefined) return STATE;
        this.loads++;
        await this.#clock.wait(this.#options.kv.load);
        this.#cache.set(id, this.#blob);
        return STATE;
      },
    };
  }
}
