/** A worker in virtual time: the real scheduler, a simulated engine and a simulated store. */

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

/** Options that all workers share. Times are in milliseconds. */
export interface WorkerOptions {
  profile: SpeedProfile;
  slots: number;
  /** Maximum number of turns that wait for a slot. */
  queue: number;
  maxStepTokens: number;
  /** Size of the state cache, and of one stored state. */
  cacheBytes: number;
  stateBytes: number;
  /** Time to load and to save a state. */
  kv: { load: number; save: number };
  /** Time of a request before the scheduler receives it. */
  request: number;
  /** Maximum time of a turn. */
  timeoutMs: number;
  /** The token limit that clients send; "exact" is the reply's own length. */
  maxTokens: number | "exact";
}

export interface SimulatedTurn {
  /** Name of the state that it resumes; `null` for a new conversation. */
  parentId: string | null;
  /** Name of the state that it creates. */
  stateId: string;
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
  /** Placeholder for every state; only its size matters. */
  readonly #blob: Uint8Array;
  /** Turns in progress. */
  activeTurns = 0;
  /** States loaded from the store, and saved to it. */
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

  get stats(): SchedulerSnapshot {
    return this.#scheduler.snapshot;
  }

  /** Runs a turn from the request to the end of its response and records its timings. */
  async serve(turn: SimulatedTurn, times: TurnTimes): Promise<void> {
    this.activeTurns++;
    await this.#clock.wait(this.#options.request);
    try {
      await this.#run(turn, times);
    } catch (error) {
      if (!(error instanceof InferenceError && error.code === "overloaded")) throw error;
      times.rejected = true;
    }
    times.endedAt = this.#clock.now;
    this.activeTurns--;
  }

  async #run(
    { parentId, stateId, prompt, reply }: SimulatedTurn,
    times: TurnTimes,
  ): Promise<void> {
    const { maxTokens, timeoutMs: timeout, kv } = this.#options;
    const generation = this.#scheduler.submit({
      state: parentId === null ? null : this.#source(parentId),
      tokens: new Array(prompt).fill(1),
      sampling: { ...NEUTRAL_SAMPLING, seed: BigInt(reply) },
      counts: new Map(),
      position: 0,
      maxTokens: maxTokens === "exact" ? reply : Math.max(maxTokens, reply),
      endToken: null,
      stops: null,
      timeoutMs: timeout,
    });
    for await (const { tokens } of generation) {
      times.chunks.push({ at: this.#clock.now, tokens: tokens.length });
    }
    const { state } = await generation.finished;
    times.queueMs = generation.queuedMs;
    if (state === null) {
      throw new InferenceError(
        "overloaded",
        "No slot became free within the turn's time limit",
      );
    }
    await this.#clock.wait(kv.save);
    this.saves++;
    this.#cache.set(stateId, this.#blob);
    generation.keepWarm(stateId, STATE);
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
