/**
 * Samples on the CPU from the logits of any engine: for engines that do not sample, for turns whose
 * tokens are constrained or explained, and as the oracle of those that sample on a device.
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

/** How sampling on the host goes along with a device. */
export interface CpuSamplingOptions {
  /** Steps that one call of `generate` takes at most; 64 unless told. */
  maxSteps?: number | undefined;
  /** Samples for the turns that do not need this; it must be the engine itself. */
  device?: SamplingEngine | undefined;
  /** Begins constraints; without it none can be held. */
  createConstraint?: CreateTokenConstraint | undefined;
}

/**
 * Samples on the host around any engine, token by token: for the CPU engine, and for what devices do
 * not do.
 */
export class CpuSamplingEngine implements SamplingEngine {
  /** That of the engine. */
  readonly info: EngineInfo;
  /** Steps that one call of `generate` takes at most. */
  readonly maxSteps: number;
  readonly #engine: Engine;
  readonly #device: SamplingEngine | undefined;
  readonly #constrain: CreateTokenConstraint | undefined;
  readonly #tokens: TokenTable | undefined;
  readonly #banned: Uint8Array | null = null;
  readonly #slots = new Map<number, CpuSampledSlot>();
  /** Slots that are told to sample here, as soon as calls say so. */
  readonly #hosted = new Set<number>();
  #last: Promise<unknown> = Promise.resolve();

  /** Sampling around an engine. Without `tokens` no id is banned, and no stop string is found. */
  constructor(
    engine: Engine,
    tokens?: TokenTable,
    { maxSteps = 64, device, createConstraint: constrain }: CpuSamplingOptions = {},
  ) {
    this.info = engine.info;
    this.#engine = engine;
    this.#device = device;
    this.#constrain = constrain;
    this.#tokens = tokens;
    this.maxSteps = device?.maxSteps ?? maxSteps;
    if (!tokens) return;
    const { vocabulary } = engine.info.dimensions;
    this.#banned = Uint8Array.from({ length: vocabulary }, (_, id) => tokens.banned[id] ?? 1);
  }

  /** Resolves when the engine has failed, where that can tell. */
  get failed(): Promise<InferenceError> | undefined {
    return this.#engine.failed;
  }

  async prepareConstraint(constraint: Constraint): Promise<void> {
    (await this.#begin(constraint)).close();
  }

  step(runs: readonly Run[]): Promise<Float32Array[]> {
    return this.#passOn(() => this.#engine.step(runs));
  }

  startSampling(slot: number, sampling: SlotSampling): Promise<void> {
    if (this.#device && !needsCpuSampling(sampling)) {
      this.#hosted.delete(slot);
      return this.#device.startSampling(slot, sampling);
    }
    this.#hosted.add(slot);
    return this.#inOrder(async () => {
      this.#slots.get(slot)?.close();
      const { constraint } = sampling;
      const constrained = constraint === undefined ? null : await this.#begin(constraint);
      const tokens = this.#tokens ?? null;
      const own = new CpuSampledSlot(sampling, {
        constraint: constrained,
        tokenTable: tokens,
        banned: this.#banned,
      });
      this.#slots.set(slot, own);
    });
  }

  async generate(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]> {
    const device = this.#device;
    if (!device) return await this.#inOrder(() => this.#sampleAll(runs, steps));
    // What is only read, or sampled on the device, waits for nobody.
    const onHost = runs.map(({ slot, sample }) => sample && this.#hosted.has(slot));
    const others = runs.filter((_, i) => !onHost[i]);
    const own = runs.filter((_, i) => onHost[i]);
    const [left, right] = await Promise.all([
      others.length > 0 ? device.generate(others, steps) : [],
      own.length > 0 ? this.#inOrder(() => this.#sampleAll(own, steps)) : [],
    ]);
    return onHost.map((host) => host ? right.shift()! : left.shift()!);
  }

  readState(slot: number): Promise<Float32Array> {
    return this.#passOn(() => this.#engine.readState(slot));
  }

  writeState(slot: number, state: Float32Array | null): Promise<void> {
    return this.#passOn(() => this.#engine.writeState(slot, state));
  }

  copyState(from: number, to: number): Promise<void> {
    return this.#passOn(() => this.#engine.copyState(from, to));
  }

  close(): Promise<void> {
    return this.#inOrder(() => this.#engine.close());
  }

  async #sampleAll(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]> {
    const results = runs.map((): GenerateResult => ({
      tokens: [],
      finishReason: null,
      fault: null,
    }));
    for (let step = 0; step < steps; step++) {
      const going = runs.flatMap(({ slot, tokens, sample }, i) => {
        const own = this.#slots.get(slot);
        if (tokens.length > 0) return [{ slot, tokens, own: sample ? own : undefined, i }];
        if (own === undefined || own.ended || own.lastToken === null) return [];
        return [{ slot, tokens: [own.lastToken], own: sample ? own : undefined, i }];
      });
      const logits = await this.#engine.step(
        going.map(({ slot, tokens, own }) => ({ slot, tokens, logits: own ? "last" : "none" })),
      );
      for (const [at, { own, i }] of going.entries()) {
        if (own && !own.ended) await own.sample(logits[at], results[i]);
      }
    }
    return results;
  }

  async #begin(constraint: Constraint): Promise<TokenConstraint> {
    if (this.#constrain) return await this.#constrain(constraint);
    throw new InferenceError(
      "unsupported_value",
      `Cannot hold a reply to ${constraint.type}: no grammars are set up here`,
    );
  }

  /** An engine with a device keeps calls in order itself, and must see them at once. */
  #passOn<T>(call: () => Promise<T>): Promise<T> {
    return this.#device ? call() : this.#inOrder(call);
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.catch(() => {}).then(work);
    this.#last = result;
    return result;
  }
}

export interface CpuSampledSlotOptions {
  constraint: TokenConstraint | null;
  /** Without them no stop string is found. */
  tokenTable: TokenTable | null;
  /** 1 at the ids that must never be sampled. */
  banned: Uint8Array | null;
}

export class CpuSampledSlot {
  /** The token sampled last. */
  lastToken: number | null = null;
  ended = false;
  readonly #sampling: SlotSampling;
  readonly #options: CpuSampledSlotOptions;
  readonly #counts: Map<number, number>;
  readonly #stops: StopSearch | null;
  #sampled = 0;

  constructor(sampling: SlotSampling, options: CpuSampledSlotOptions) {
    const { counts, stops, alreadySampled: sampled = [] } = sampling;
    this.#sampling = sampling;
    this.#options = options;
    this.#counts = new Map(counts);
    this.#stops = stops && { ...stops, prefixBits: stops.prefixBits.slice() };
    for (const token of sampled) {
      options.constraint?.accept(token);
      if (this.#stops) advanceStopSearch(this.#stops, this.#bytesOf(token));
    }
  }

  /** Samples the next token from `logits`, which are changed, and adds it to `result`. */
  async sample(logits: Float32Array, result: GenerateResult): Promise<void> {
    const { params, position, maxTokens: limit, endToken, logprobs } = this.#sampling;
    const { constraint: constrained, banned } = this.#options;
    const untouched = logprobs !== undefined && constrained ? logits.slice() : logits;
    if (constrained) keepAllowed(logits, await constrained.tokenBitmask());
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
      (result.logprobs ??= []).push(computeLogprobs(token, untouched, { banned, count: logprobs }));
    }
    constrained?.accept(token);
    recordToken(this.#counts, token, params.penaltyDecay);
    this.lastToken = token;
    this.#sampled++;
    result.tokens.push(token);
    const stopped = this.#stops !== null && advanceStopSearch(this.#stops, this.#bytesOf(token));
    if (stopped || token === endToken) result.finishReason = "stop";
    else if (this.#sampled >= limit) result.finishReason = "length";
    this.ended = result.finishReason !== null;
  }

  /** Frees what it holds. */
  close(): void {
    this.#options.constraint?.close();
  }

  #bytesOf(token: number): Uint8Array {
    const { tokenTable: tokens } = this.#options;
    return tokens?.bytes.subarray(tokens.offsets[token], tokens.offsets[token + 1]) ??
      new Uint8Array();
  }
}

/** A logit of -Infinity is a ban. */
function keepAllowed(logits: Float32Array, allowed: Int32Array): void {
  for (let id = 0; id < logits.length; id++) {
    if ((allowed[id >> 5] >>> (id & 31) & 1) === 0) logits[id] = -Infinity;
  }
}
