/**
 * Samples on the CPU from the logits of any engine: for engines that do not sample, for turns that
 * need constraints or log probabilities, and as the reference for samplers on a device.
 */

import { InferenceError } from "../core/errors.ts";
import type {
  Constraint,
  CreateTokenConstraint,
  StopSearch,
  TokenConstraint,
  TokenTable,
} from "../core/sampling.ts";
import {
  type Engine,
  type EngineInfo,
  type GenerateResult,
  type GenerateRun,
  needsCpuSampling,
  type Run,
  type SamplingEngine,
  type SlotSampling,
} from "../engine/engine.ts";
import { computeLogprobs } from "../sampler/logprobs.ts";
import { recordToken } from "../sampler/penalties.ts";
import { randomAt } from "../sampler/random.ts";
import { sample } from "../sampler/sampler.ts";
import { advanceStopSearch } from "../core/stop_search.ts";

/** Options of sampling on the CPU. */
export interface CpuSamplingOptions {
  /** Maximum number of steps of one `generate` call; 64 by default. */
  maxSteps?: number | undefined;
  /** Samples the turns that do not need the CPU. It must be the same object as the engine. */
  device?: SamplingEngine | undefined;
  /** Creates constraints. Without it, structured output is not supported. */
  createConstraint?: CreateTokenConstraint | undefined;
}

/** Adds token-by-token sampling on the CPU to any engine. */
export class CpuSamplingEngine implements SamplingEngine {
  /** Describes the wrapped engine. */
  readonly info: EngineInfo;
  /** Maximum number of steps of one `generate` call. */
  readonly maxSteps: number;
  readonly #engine: Engine;
  readonly #device: SamplingEngine | undefined;
  readonly #createConstraint: CreateTokenConstraint | undefined;
  readonly #tokens: TokenTable | undefined;
  readonly #banned: Uint8Array | null = null;
  readonly #slots = new Map<number, CpuSampledSlot>();
  /** Slots that sample on the CPU, updated when `startSampling` is called. */
  readonly #cpuSampledSlots = new Set<number>();
  #previous: Promise<unknown> = Promise.resolve();

  /** Wraps an engine. Without `tokens`, no id is banned and no stop string is found. */
  constructor(
    engine: Engine,
    tokens?: TokenTable,
    { maxSteps = 64, device, createConstraint }: CpuSamplingOptions = {},
  ) {
    this.info = engine.info;
    this.#engine = engine;
    this.#device = device;
    this.#createConstraint = createConstraint;
    this.#tokens = tokens;
    this.maxSteps = device?.maxSteps ?? maxSteps;
    if (!tokens) return;
    const { vocabulary } = engine.info.dimensions;
    this.#banned = Uint8Array.from({ length: vocabulary }, (_, id) => tokens.banned[id] ?? 1);
  }

  /** Resolves when the engine has failed, if the engine can detect that. */
  get failed(): Promise<InferenceError> | undefined {
    return this.#engine.failed;
  }

  async prepareConstraint(constraint: Constraint): Promise<void> {
    (await this.#openConstraint(constraint)).close();
  }

  step(runs: readonly Run[]): Promise<Float32Array[]> {
    return this.#forward(() => this.#engine.step(runs));
  }

  startSampling(slot: number, sampling: SlotSampling): Promise<void> {
    if (this.#device && !needsCpuSampling(sampling)) {
      this.#cpuSampledSlots.delete(slot);
      return this.#device.startSampling(slot, sampling);
    }
    this.#cpuSampledSlots.add(slot);
    return this.#serialize(async () => {
      this.#slots.get(slot)?.close();
      const { constraint } = sampling;
      const constrained = constraint === undefined ? null : await this.#openConstraint(constraint);
      const tokens = this.#tokens ?? null;
      const cpuSlot = new CpuSampledSlot(sampling, {
        constraint: constrained,
        tokenTable: tokens,
        banned: this.#banned,
      });
      this.#slots.set(slot, cpuSlot);
    });
  }

  async generate(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]> {
    const device = this.#device;
    if (!device) return await this.#serialize(() => this.#sampleAll(runs, steps));
    // Prefill and sampling on the device do not wait for sampling on the CPU.
    const onCpu = runs.map(({ slot, sample }) => sample && this.#cpuSampledSlots.has(slot));
    const deviceRuns = runs.filter((_, i) => !onCpu[i]);
    const cpuRuns = runs.filter((_, i) => onCpu[i]);
    const [deviceResults, cpuResults] = await Promise.all([
      deviceRuns.length > 0 ? device.generate(deviceRuns, steps) : [],
      cpuRuns.length > 0 ? this.#serialize(() => this.#sampleAll(cpuRuns, steps)) : [],
    ]);
    return onCpu.map((cpu) => cpu ? cpuResults.shift()! : deviceResults.shift()!);
  }

  readState(slot: number): Promise<Float32Array> {
    return this.#forward(() => this.#engine.readState(slot));
  }

  writeState(slot: number, state: Float32Array | null): Promise<void> {
    return this.#forward(() => this.#engine.writeState(slot, state));
  }

  copyState(from: number, to: number): Promise<void> {
    return this.#forward(() => this.#engine.copyState(from, to));
  }

  close(): Promise<void> {
    return this.#serialize(() => this.#engine.close());
  }

  async #sampleAll(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]> {
    const results = runs.map((): GenerateResult => ({
      tokens: [],
      finishReason: null,
      fault: null,
    }));
    for (let step = 0; step < steps; step++) {
      const active = runs.flatMap(({ slot, tokens, sample }, i) => {
        const cpuSlot = this.#slots.get(slot);
        if (tokens.length > 0) return [{ slot, tokens, cpuSlot: sample ? cpuSlot : undefined, i }];
        if (cpuSlot === undefined || cpuSlot.ended || cpuSlot.lastToken === null) return [];
        return [{ slot, tokens: [cpuSlot.lastToken], cpuSlot: sample ? cpuSlot : undefined, i }];
      });
      const logits = await this.#engine.step(
        active.map(({ slot, tokens, cpuSlot }) => ({
          slot,
          tokens,
          logits: cpuSlot ? "last" : "none",
        })),
      );
      for (const [at, { cpuSlot, i }] of active.entries()) {
        if (cpuSlot && !cpuSlot.ended) await cpuSlot.sample(logits[at], results[i]);
      }
    }
    return results;
  }

  async #openConstraint(constraint: Constraint): Promise<TokenConstraint> {
    if (this.#createConstraint) return await this.#createConstraint(constraint);
    throw new InferenceError(
      "unsupported_value",
      `Cannot constrain a reply by ${constraint.type}: this engine does not support constraints`,
    );
  }

  /** An engine with a device orders its calls itself, so calls must reach it without delay. */
  #forward<T>(call: () => Promise<T>): Promise<T> {
    return this.#device ? call() : this.#serialize(call);
  }

  #serialize<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#previous.catch(() => {}).then(work);
    this.#previous = result;
    return result;
  }
}

export interface CpuSampledSlotOptions {
  constraint: TokenConstraint | null;
  /** Without it, no stop string is found. */
  tokenTable: TokenTable | null;
  /** 1 at the ids that must never be sampled. */
  banned: Uint8Array | null;
}

export class CpuSampledSlot {
  /** The last sampled token. */
  lastToken: number | null = null;
  ended = false;
  readonly #sampling: SlotSampling;
  readonly #options: CpuSampledSlotOptions;
  readonly #counts: Map<number, number>;
  readonly #stops: StopSearch | null;
  #sampled = 0;

  constructor(sampling: SlotSampling, options: CpuSampledSlotOptions) {
    const { counts, stops, alreadySampled = [] } = sampling;
    this.#sampling = sampling;
    this.#options = options;
    this.#counts = new Map(counts);
    this.#stops = stops && { ...stops, prefixBits: stops.prefixBits.slice() };
    for (const token of alreadySampled) {
      options.constraint?.accept(token);
      if (this.#stops) advanceStopSearch(this.#stops, this.#bytesOf(token));
    }
  }

  /** Samples the next token from `logits` and adds it to `result`. Modifies `logits`. */
  async sample(logits: Float32Array, result: GenerateResult): Promise<void> {
    const { params, position, maxTokens, endToken, logprobs } = this.#sampling;
    const { constraint, banned } = this.#options;
    const unmasked = logprobs !== undefined && constraint ? logits.slice() : logits;
    if (constraint) applyBitmask(logits, await constraint.tokenBitmask());
    const random = randomAt(params.seed, position + this.#sampled);
    let token: number;
    try {
      token = sample(logits, params, this.#counts, random, banned);
    } catch (error) {
      if (!(error instanceof InferenceError && error.code === "numeric_fault")) throw error;
      this.ended = true;
      const finite = logits.every((logit) => logit < Infinity);
      result.fault = { kind: finite ? "all_banned" : "not_finite", message: error.message };
      return;
    }
    if (logprobs !== undefined) {
      (result.logprobs ??= []).push(computeLogprobs(token, unmasked, { banned, count: logprobs }));
    }
    constraint?.accept(token);
    recordToken(this.#counts, token, params.penaltyDecay);
    this.lastToken = token;
    this.#sampled++;
    result.tokens.push(token);
    const stopped = this.#stops !== null && advanceStopSearch(this.#stops, this.#bytesOf(token));
    if (stopped || token === endToken) result.finishReason = "stop";
    else if (this.#sampled >= maxTokens) result.finishReason = "length";
    this.ended = result.finishReason !== null;
  }

  /** Releases the constraint. */
  close(): void {
    this.#options.constraint?.close();
  }

  #bytesOf(token: number): Uint8Array {
    const { tokenTable } = this.#options;
    return tokenTable?.bytes.subarray(tokenTable.offsets[token], tokenTable.offsets[token + 1]) ??
      new Uint8Array();
  }
}

/** Bans the tokens outside the bitmask by setting their logits to -Infinity. */
function applyBitmask(logits: Float32Array, bitmask: Int32Array): void {
  for (let id = 0; id < logits.length; id++) {
    if ((bitmask[id >> 5] >>> (id & 31) & 1) === 0) logits[id] = -Infinity;
  }
}
