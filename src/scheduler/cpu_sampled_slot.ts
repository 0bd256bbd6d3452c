/** A slot whose tokens are sampled on the CPU. */

import { InferenceError } from "../core/errors.ts";
import type { StopSearch, TokenConstraint, TokenTable } from "../core/sampling.ts";
import type { GenerateResult, SlotSampling } from "../engine/engine.ts";
import { computeLogprobs } from "../sampler/logprobs.ts";
import { recordToken } from "../sampler/penalties.ts";
import { randomAt } from "../sampler/random.ts";
import { sample } from "../sampler/sampler.ts";
import { advanceStopSearch } from "../core/stop_search.ts";

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
