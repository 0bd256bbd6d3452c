/**
 * An engine that computes nothing and takes the time that a real one would: for the real scheduler,
 * in virtual time.
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

/** Steps that real engines take at most at once. */
const MAX_STEPS = 64;

export interface SimulatedEngineOptions {
  clock: VirtualClock;
  cores: Cores;
  profile: SpeedProfile;
  slots: number;
  maxStepTokens: number;
}

/** A slot's reply: what has been written of it, of how much. */
interface Writing {
  written: number;
  limit: number;
  length: number;
}

/**
 * As real ones do, it carries out calls in order, and results are read while the next call runs. What
 * a turn writes follows from its seed; here that is the number of tokens after which it stops.
 */
export class SimulatedEngine implements SamplingEngine {
  readonly info: EngineInfo;
  readonly maxSteps = MAX_STEPS;
  readonly #options: SimulatedEngineOptions;
  readonly #slots: Writing[] = [];
  readonly #calls: { ms: number; done: () => void }[] = [];
  #running = false;
  #began = 0;
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

  /** Milliseconds that it has computed. */
  get busy(): number {
    return this.#busy + (this.#running ? this.#options.clock.now - this.#began : 0);
  }

  step(): Promise<Float32Array[]> {
    throw new Error("a simulated engine has no logits");
  }

  prepareConstraint(): Promise<void> {
    return Promise.resolve();
  }

  startSampling(slot: number, { params, maxTokens: limit }: SlotSampling): Promise<void> {
    this.#slots[slot] = { written: 0, limit, length: Number(params.seed) };
    return Promise.resolve();
  }

  /** Calls keep their order, so what comes of one is known when it is made. */
  async generate(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]> {
    const read = runs.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const writers = runs.filter(({ tokens }) => tokens.length === 0)
      .map(({ slot }) => left(this.#slots[slot]));
    const results = runs.map(({ slot, sample }) => this.#write(slot, sample ? steps : 0));
    await this.#call(this.#duration({ read, writers, steps }), this.#options.profile.readBack);
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

  /** @param writers Tokens that each turn that writes has left. */
  #duration(
    { read, writers, steps }: { read: number; writers: readonly number[]; steps: number },
  ): number {
    const { profile } = this.#options;
    if (!profile.omitted) return steps * stepMs(profile, writers.length, read);
    let ms = 0;
    for (let step = 0; step < steps; step++) {
      const going = writers.filter((tokens) => tokens > step).length;
      if (going + read > 0) ms += stepMs(profile, going, read);
    }
    return ms;
  }

  #write(slot: number, most: number): GenerateResult {
    if (most === 0) return { tokens: [], finishReason: null, fault: null };
    const writing = this.#slots[slot];
    const count = Math.min(most, left(writing));
    writing.written += count;
    const stopped = writing.written >= writing.length;
    const end = left(writing) > 0 ? null : stopped ? "stop" : "length";
    return { tokens: new Array(count).fill(1), finishReason: end, fault: null };
  }

  /** Resolves when a call has been carried out, and what it tells has been read. */
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
    this.#began = clock.now;
    cores.run(call.ms, () => {
      this.#busy += clock.now - this.#began;
      this.#running = false;
      this.#next();
      call.done();
    });
  }
}

function left({ written, limit, length }: Writing): number {
  return Math.min(limit, length) - written;
}
