/**
 * A turn of the scheduler, waiting or in a slot: its remaining prompt, its tokens and its result.
 */

import { deferred } from "../core/deferred.ts";
import type { StopSearch } from "../core/sampling.ts";
import { type GenerateResult, needsCpuSampling, type SlotSampling } from "../engine/engine.ts";
import { recordToken } from "../sampler/penalties.ts";
import { createStopSearch } from "../core/stop_search.ts";
import type { PlannableTurn } from "./planner.ts";
import type {
  GenerationRequest,
  GenerationResult,
  StateSource,
  TokenBatch,
} from "./scheduler_types.ts";

export class ScheduledTurn implements PlannableTurn {
  readonly generationRequest: GenerationRequest;
  readonly fairnessKey: string;
  /** The same object for all turns of an HTTP request. */
  readonly request: object;
  /** Times by the scheduler's clock: arrival, start of the current wait, slot assignment. */
  readonly arrivedAt: number;
  waitingSince: number;
  startedAt = 0;
  /** -1 without a slot. */
  slot = -1;
  /** Whether its state is being loaded into the slot. */
  loading = false;
  /** Whether a step has processed tokens of it in its current slot. */
  hasStepped = false;
  /** Whether it must leave its slot when it has no more steps in flight. */
  preempted = false;
  /** Turns with the same prompt that fork from this one before the last prompt token. */
  followers: ScheduledTurn[] = [];
  /** The state that it starts from. */
  state: StateSource | null;
  /** Tokens that were not passed to the engine yet. */
  remainingTokens: number[];
  /** Steps that were passed to the engine and have not completed. */
  stepsInFlight = 0;
  /** Set when the turn has ended. */
  finishReason: "stop" | "length" | null = null;
  readonly #stops: StopSearch | null;
  readonly #tokens = new TokenQueue();
  readonly #finished = deferred<GenerationResult>();
  /** Tokens sampled so far, in all of its slots. */
  readonly #sampled: number[] = [];
  /** Number of tokens that were sampled before the current slot. */
  #sampledBefore = 0;
  /** Whether any of its tokens were passed to the engine. */
  #hasProcessed = false;
  #queuedMs: number | null = null;

  /**
   * Creates a waiting turn.
   *
   * @throws InferenceError `invalid_value` for stop strings that are too long
   */
  constructor(
    generationRequest: GenerationRequest,
    now: number,
    request: object = generationRequest,
  ) {
    if (generationRequest.tokens.length === 0) {
      throw new Error("Cannot schedule a turn: it has no tokens to process");
    }
    this.generationRequest = generationRequest;
    this.fairnessKey = generationRequest.fairnessKey ?? "";
    this.request = request;
    this.arrivedAt = now;
    this.waitingSince = now;
    this.remainingTokens = [...generationRequest.tokens];
    this.state = generationRequest.state;
    this.#stops = generationRequest.stops && createStopSearch(generationRequest.stops);
    // A caller may await either this promise or the iteration. Both report the error.
    this.#finished.promise.catch(() => {});
  }

  get finished(): Promise<GenerationResult> {
    return this.#finished.promise;
  }

  /** Milliseconds until its first slot. */
  get queuedMs(): number | null {
    return this.#queuedMs;
  }

  /** Moves the turn into a slot. */
  assignSlot(slot: number, now: number): void {
    this.slot = slot;
    this.startedAt = now;
    this.hasStepped = false;
    this.#queuedMs ??= now - this.arrivedAt;
  }

  /** Removes the turn from its slot. `state` is the slot's state, or `null` if it is unchanged. */
  suspend(state: Promise<Float32Array> | null, now: number): void {
    this.slot = -1;
    this.preempted = false;
    this.waitingSince = now;
    this.#sampledBefore = this.#sampled.length;
    if (this.decoding) this.remainingTokens = [this.#sampled[this.#sampled.length - 1]];
    if (state !== null) this.state = { stateKey: null, load: () => state };
  }

  /** Removes and returns the next `count` tokens for the engine. */
  takeRemaining(count: number): number[] {
    this.#hasProcessed = true;
    return this.remainingTokens.splice(0, count);
  }

  /** Yields sampled tokens. */
  get tokens(): AsyncIterable<TokenBatch> {
    return this.#tokens;
  }

  /** Whether the engine has processed none of its tokens. */
  get isUnstarted(): boolean {
    return !this.#hasProcessed;
  }

  /** Whether its followers can start from a copy of its state. */
  get canFork(): boolean {
    return this.followers.length > 0 && this.remainingTokens.length === 1 && !this.loading &&
      !this.cancelled;
  }

  /** Separates its followers. Each has the last token of the prompt left to process. */
  detachFollowers(): ScheduledTurn[] {
    const { followers } = this;
    this.followers = [];
    for (const follower of followers) {
      follower.remainingTokens = [...this.remainingTokens];
      follower.#hasProcessed = this.#hasProcessed;
    }
    return followers;
  }

  get cancelled(): boolean {
    return this.generationRequest.signal?.aborted ?? false;
  }

  /** Whether its timeout has passed. */
  timedOut(now: number): boolean {
    return now - this.arrivedAt > (this.generationRequest.timeoutMs ?? Infinity);
  }

  /** Whether its whole prompt was passed to the engine. */
  get decoding(): boolean {
    return this.remainingTokens.length === 0;
  }

  /** Tokens that the next step may process: 1 when decoding, 0 if the turn is about to end. */
  get schedulableTokens(): number {
    const { maxTokens } = this.generationRequest;
    if (this.finishReason || this.cancelled || this.loading || this.preempted) return 0;
    if (maxTokens === 0 || this.followers.length > 0) return this.remainingTokens.length - 1;
    if (!this.decoding) return this.remainingTokens.length;
    if (this.cpuSampled && this.stepsInFlight > 0) return 0;
    return this.#sampled.length + this.stepsInFlight < maxTokens ? 1 : 0;
  }

  /** Whether each token must be sampled on the CPU before the next step. */
  get cpuSampled(): boolean {
    const { constraint, logprobs, sampling } = this.generationRequest;
    return needsCpuSampling({ constraint, logprobs, params: sampling });
  }

  /** Number of tokens that may still be sampled. */
  get samplingBudget(): number {
    return this.generationRequest.maxTokens - this.#sampled.length - this.stepsInFlight;
  }

  /** How the turn samples from its first token on; `null` if it does not sample. */
  get sampling(): SlotSampling | null {
    const { sampling, counts, position, maxTokens, endToken, constraint, logprobs } =
      this.generationRequest;
    if (maxTokens === 0) return null;
    return {
      params: sampling,
      counts,
      position: position + this.#sampledBefore,
      maxTokens: maxTokens - this.#sampledBefore,
      alreadySampled: this.#sampled,
      endToken,
      stops: this.#stops,
      constraint,
      logprobs,
    };
  }

  /** Records the tokens that the engine sampled in `steps` steps. */
  completeSteps({ tokens, finishReason, logprobs }: GenerateResult, steps: number): void {
    this.stepsInFlight -= steps;
    this.hasStepped = true;
    for (const token of tokens) {
      recordToken(
        this.generationRequest.counts,
        token,
        this.generationRequest.sampling.penaltyDecay,
      );
      this.#sampled.push(token);
    }
    if (tokens.length > 0) this.#tokens.push({ tokens, ...(logprobs ? { logprobs } : {}) });
    this.finishReason = finishReason;
  }

  /**
   * Ends the turn.
   *
   * @param state The slot's state after all processed tokens; `null` if unchanged.
   */
  finish(reason: GenerationResult["reason"], state: Float32Array | null): void {
    for (const follower of this.followers) {
      follower.remainingTokens = this.remainingTokens;
      follower.finish(reason, state);
    }
    this.#tokens.end();
    const last = this.#sampled.at(-1);
    const pending = last === undefined ? this.remainingTokens : [last];
    this.#finished.resolve({
      reason,
      state,
      pendingTokens: pending,
      sampledTokens: this.#sampled.length,
    });
  }

  fail(error: unknown): void {
    for (const follower of this.followers) follower.fail(error);
    this.#tokens.end(error);
    this.#finished.reject(error);
  }
}

/** An async queue of sampled tokens for one consumer. */
export class TokenQueue implements AsyncIterable<TokenBatch> {
  readonly #waiting: TokenBatch[] = [];
  #ended = false;
  #failure: unknown;
  #wake: () => void = () => {};

  /** Adds a batch of tokens. */
  push(batch: TokenBatch): void {
    this.#waiting.push(batch);
    this.#wake();
  }

  /** Ends the iteration after the queued tokens, with an error if one is given. */
  end(failure?: unknown): void {
    this.#ended = true;
    this.#failure = failure;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TokenBatch> {
    while (true) {
      while (this.#waiting.length > 0) yield this.#waiting.shift()!;
      if (this.#ended) break;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}
