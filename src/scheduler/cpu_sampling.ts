/** Samples on the CPU from the logits of any engine: for the CPU engine, and the oracle of others. */

import { InferenceError } from "../core/errors.ts";
import type { StopSearch, TokenTable } from "../core/sampling.ts";
import type {
  Engine,
  EngineInfo,
  Generated,
  GenerateRun,
  Run,
  SamplingEngine,
  SlotSampling,
} from "../engine/engine.ts";
import { recordToken } from "../sampler/penalties.ts";
import { randomAt } from "../sampler/random.ts";
import { sample } from "../sampler/sampler.ts";
import { searchBytes } from "../sampler/stop_search.ts";

/** A turn that samples. */
interface SamplingSlot {
  sampling: SlotSampling;
  counts: Map<number, number>;
  stops: StopSearch | null;
  sampled: number;
  /** The token sampled last. */
  token: number | null;
  ended: boolean;
}

export class CpuSampling implements SamplingEngine {
  readonly info: EngineInfo;
  readonly maxSteps: number;
  readonly #engine: Engine;
  readonly #tokens: TokenTable | undefined;
  readonly #banned: Uint8Array | null = null;
  readonly #slots = new Map<number, SamplingSlot>();
  #last: Promise<unknown> = Promise.resolve();

  /** @param tokens Without them no id is banned, and no stop string is found. */
  constructor(
    engine: Engine,
    tokens?: TokenTable,
    { maxSteps = 64 }: { maxSteps?: number } = {},
  ) {
    this.info = engine.info;
    this.#engine = engine;
    this.#tokens = tokens;
    this.maxSteps = maxSteps;
    if (!tokens) return;
    const { vocabulary } = engine.info.dimensions;
    this.#banned = Uint8Array.from({ length: vocabulary }, (_, id) => tokens.banned[id] ?? 1);
  }

  step(runs: readonly Run[]): Promise<Float32Array[]> {
    return this.#inOrder(() => this.#engine.step(runs));
  }

  startSampling(slot: number, sampling: SlotSampling): Promise<void> {
    return this.#inOrder(() => {
      this.#slots.set(slot, {
        sampling,
        counts: new Map(sampling.counts),
        stops: sampling.stops && { ...sampling.stops, bits: sampling.stops.bits.slice() },
        sampled: 0,
        token: null,
        ended: false,
      });
      return Promise.resolve();
    });
  }

  generate(runs: readonly GenerateRun[], steps: number): Promise<Generated[]> {
    return this.#inOrder(async () => {
      const results = runs.map((): Generated => ({ tokens: [], end: null, fault: null }));
      for (let step = 0; step < steps; step++) {
        const going = runs.flatMap(({ slot, tokens, sample }, i) => {
          const own = this.#slots.get(slot);
          if (tokens.length > 0) return [{ slot, tokens, sample, result: results[i] }];
          if (own === undefined || own.ended || own.token === null) return [];
          return [{ slot, tokens: [own.token], sample, result: results[i] }];
        });
        const logits = await this.#engine.step(
          going.map(({ slot, tokens, sample }) => (
            { slot, tokens, logits: sample ? "last" : "none" }
          )),
        );
        for (const [i, { slot, sample, result }] of going.entries()) {
          const own = this.#slots.get(slot);
          if (sample && own && !own.ended) this.#sample(own, logits[i], result);
        }
      }
      return results;
    });
  }

  readState(slot: number): Promise<Float32Array> {
    return this.#inOrder(() => this.#engine.readState(slot));
  }

  writeState(slot: number, state: Float32Array | null): Promise<void> {
    return this.#inOrder(() => this.#engine.writeState(slot, state));
  }

  copyState(from: number, to: number): Promise<void> {
    return this.#inOrder(() => this.#engine.copyState(from, to));
  }

  close(): Promise<void> {
    return this.#inOrder(() => this.#engine.close());
  }

  #sample(slot: SamplingSlot, logits: Float32Array, result: Generated): void {
    const { params, position, limit, endToken } = slot.sampling;
    const random = randomAt(params.seed, position + slot.sampled);
    let token: number;
    try {
      token = sample(logits, params, slot.counts, random, this.#banned);
    } catch (error) {
      if (!(error instanceof InferenceError && error.code === "numeric_fault")) throw error;
      slot.ended = true;
      result.fault = error.message;
      return;
    }
    recordToken(slot.counts, token, params.penaltyDecay);
    slot.token = token;
    slot.sampled++;
    result.tokens.push(token);
    const stopped = slot.stops !== null && searchBytes(slot.stops, this.#bytesOf(token));
    if (stopped || token === endToken) result.end = "stop";
    else if (slot.sampled >= limit) result.end = "length";
    slot.ended = result.end !== null;
  }

  #bytesOf(token: number): Uint8Array {
    if (!this.#tokens) return new Uint8Array();
    const { bytes, offsets } = this.#tokens;
    return bytes.subarray(offsets[token], offsets[token + 1]);
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.catch(() => {}).then(work);
    this.#last = result;
    return result;
  }
}
