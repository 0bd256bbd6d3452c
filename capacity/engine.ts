/**
 * A simulated engine for the real scheduler: it computes nothing and takes the time of a real
 * engine, in virtual time.
 */

import type {
  EngineInfo,
  GenerateResult,
  GenerateRun,
  SamplingEngine,
  SlotSampling,
} from "../src/engine/engine.ts";
import type { VirtualClock } from "./clock.ts";
import type { Cores } from "./cores.ts";
import { type SpeedProfile, stepMs } from "./speed_profile.ts";

const STATE = new Float32Array();

/** Maximum steps of a window, as of real engines. */
const MAX_STEPS = 64;

export interface SimulatedEngineOptions {
  clock: VirtualClock;
  cores: Cores;
  profile: SpeedProfile;
  slots: number;
  maxStepTokens: number;
}

/** The reply of a slot: tokens generated so far, their limit, and its natural length. */
interface SlotReply {
  generated: number;
  limit: number;
  length: number;
}

/**
 * Like a real engine, it runs calls in order, and results are read back while the next call runs.
 * The seed of a turn is the number of tokens after which it stops.
 */
export class SimulatedEngine implements SamplingEngine {
  readonly info: EngineInfo;
  readonly maxSteps = MAX_STEPS;
  readonly #options: SimulatedEngineOptions;
  readonly #slots: SlotReply[] = [];
  readonly #calls: { ms: number; done: () => void }[] = [];
  #running = false;
  #callStartedAt = 0;
  #busy = 0;

  constructor(options: SimulatedEngineOptions) {
    const { profile, slots, maxStepTokens } = options;
    this.#options = options;
    this.info = {
      device: profile.omitted ? "cpu" : "webgpu",
      adapter: profile.name,
      software: false,
      quant: "f16",
      dimensions: {
        version: "5.2",
        layers: 1,
        width: 4,
        heads: 1,
        headSize: 4,
        ffnWidth: 4,
        vocabulary: 2,
        groupNormEps: 64e-5,
      },
      fingerprint: "simulated",
      slots,
      maxStepTokens,
      memory: { weights: 0, states: 0, work: 0 },
      loading: {},
    };
  }

  /** Milliseconds for which it was busy. */
  get busy(): number {
    return this.#busy + (this.#running ? this.#options.clock.now - this.#callStartedAt : 0);
  }

  step(): Promise<Float32Array[]> {
    throw new Error("Cannot return logits: the engine is simulated");
  }

  prepareConstraint(): Promise<void> {
    return Promise.resolve();
  }

  startSampling(slot: number, { params, maxTokens: limit }: SlotSampling): Promise<void> {
    this.#slots[slot] = { generated: 0, limit, length: Number(params.seed) };
    return Promise.resolve();
  }

  /** Computes the result at once, because calls run in order; resolves when the call would end. */
  async generate(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]> {
    const read = runs.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const remaining = runs.filter(({ tokens }) => tokens.length === 0)
      .map(({ slot }) => remainingTokens(this.#slots[slot]));
    const results = runs.map(({ slot, sample }) => this.#generateTokens(slot, sample ? steps : 0));
    await this.#call(
      this.#duration({ read, remaining, steps }),
      this.#options.profile.readBack,
    );
    return results;
  }

  async readState(): Promise<Float32Array> {
    await this.#call(0, this.#options.profile.readBack);
    return STATE;
  }

  async writeState(): Promise<void> {
    await this.#call(this.#options.profile.writeState);
  }

  async copyState(): Promise<void> {
    await this.#call(this.#options.profile.writeState);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** @param remaining Remaining tokens of each decoding turn. */
  #duration(
    { read, remaining, steps }: {
      read: number;
      remaining: readonly number[];
      steps: number;
    },
  ): number {
    const { profile } = this.#options;
    if (!profile.omitted) return steps * stepMs(profile, remaining.length, read);
    let ms = 0;
    for (let step = 0; step < steps; step++) {
      const active = remaining.filter((tokens) => tokens > step).length;
      if (active + read > 0) ms += stepMs(profile, active, read);
    }
    return ms;
  }

  #generateTokens(slot: number, maxCount: number): GenerateResult {
    if (maxCount === 0) return { tokens: [], finishReason: null, fault: null };
    const reply = this.#slots[slot];
    const count = Math.min(maxCount, remainingTokens(reply));
    reply.generated += count;
    const stopped = reply.generated >= reply.length;
    const end = remainingTokens(reply) > 0 ? null : stopped ? "stop" : "length";
    return { tokens: new Array(count).fill(1), finishReason: end, fault: null };
  }

  /** Resolves when a call has run and its result has been read back. */
  #call(ms: number, readBack = 0): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const done = readBack === 0 ? resolve : () => clock.at(clock.now + readBack, resolve);
      this.#calls.push({ ms, done });
      this.#next();
    });
  }

  #next(): void {
    const { clock, cores } = this.#options;
    if (this.#running) return;
    const call = this.#calls.shift();
    if (!call) return;
    this.#running = true;
    this.#callStartedAt = clock.now;
    cores.run(call.ms, () => {
      this.#busy += clock.now - this.#callStartedAt;
      this.#running = false;
      this.#next();
      call.done();
    });
  }
}

function remainingTokens({ generated, limit, length }: SlotReply): number {
  return Math.min(limit, length) - generated;
}
