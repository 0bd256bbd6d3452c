/** A turn in a slot, or waiting for one: what is left of it, and what has come of it. */

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
  /** The same object for all turns of a request. */
  readonly request: object;
  /** By the scheduler's clock: when it came, began to wait for a slot, and got that. */
  readonly arrivedAt: number;
  waitingSince: number;
  startedAt = 0;
  /** -1 before it has one. */
  slot = -1;
  /** Whether its state is on its way to the slot. */
  loading = false;
  /** Whether a step has served it since it got its slot. */
  hasStepped = false;
  /** Whether it is to leave its slot to another turn, as soon as nothing of it is under way. */
  preempted = false;
  /** Turns that are to go on from this one's state when only the last token is left to be read. */
  followers: ScheduledTurn[] = [];
  /** What it starts from. */
  state: StateSource | null;
  /** Tokens that have not been handed to the engine. */
  remainingTokens: number[];
  /** Steps handed to the engine that have not come back. */
  stepsInFlight = 0;
  /** Why it has ended, once it has. */
  finishReason: "stop" | "length" | null = null;
  readonly #stops: StopSearch | null;
  readonly #tokens = new TokenQueue();
  readonly #finished = deferred<GenerationResult>();
  /** Tokens sampled so far, in all slots that it has had. */
  readonly #sampled: number[] = [];
  /** How many of its tokens were sampled before it got its slot. */
  #resumedAt = 0;
  /** Whether the engine has been handed any of its tokens. */
  #fed = false;
  #queued: number | null = null;

  /** @throws InferenceError `invalid_value` for too long stop strings. */
  constructor(work: GenerationRequest, now: number, request: object = work) {
    if (work.tokens.length === 0) throw new Error("a turn needs at least one token to feed");
    this.generationRequest = work;
    this.fairnessKey = work.fairnessKey ?? "";
    this.request = request;
    this.arrivedAt = now;
    this.waitingSince = now;
    this.remainingTokens = [...work.tokens];
    this.state = work.state;
    this.#stops = work.stops && createStopSearch(work.stops);
    // Whoever iterates sees the error as well; a caller may do only one of the two.
    this.#finished.promise.catch(() => {});
  }

  get finished(): Promise<GenerationResult> {
    return this.#finished.promise;
  }

  /** Milliseconds until it had its first slot. */
  get queuedMs(): number | null {
    return this.#queued;
  }

  /** Gives it a slot. */
  assignSlot(slot: number, now: number): void {
    this.slot = slot;
    this.startedAt = now;
    this.hasStepped = false;
    this.#queued ??= now - this.arrivedAt;
  }

  /** Takes its slot away; `state` is what it leaves there, `null` if that is untouched. */
  suspend(state: Promise<Float32Array> | null, now: number): void {
    this.slot = -1;
    this.preempted = false;
    this.waitingSince = now;
    this.#resumedAt = this.#sampled.length;
    if (this.decoding) this.remainingTokens = [this.#sampled[this.#sampled.length - 1]];
    if (state !== null) this.state = { fairnessKey: null, load: () => state };
  }

  /** Takes the next `count` tokens that it is to be fed. */
  takeRemaining(count: number): number[] {
    this.#fed = true;
    return this.remainingTokens.splice(0, count);
  }

  /** Ids as they are sampled. */
  get tokens(): AsyncIterable<TokenBatch> {
    return this.#tokens;
  }

  /** Whether nothing has been fed since it started. */
  get isUnstarted(): boolean {
    return !this.#fed;
  }

  /** Whether its followers can go on from its state. */
  get canFork(): boolean {
    return this.followers.length > 0 && this.remainingTokens.length === 1 && !this.loading &&
      !this.cancelled;
  }

  /** Its followers, on their own from now on: they have the last token of the prompt to read. */
  detachFollowers(): ScheduledTurn[] {
    const { followers } = this;
    this.followers = [];
    for (const follower of followers) {
      follower.remainingTokens = [...this.remainingTokens];
      follower.#fed = this.#fed;
    }
    return followers;
  }

  get cancelled(): boolean {
    return this.generationRequest.signal?.aborted ?? false;
  }

  /** Whether it has taken longer than it may. */
  timedOut(now: number): boolean {
    return now - this.arrivedAt > (this.generationRequest.timeoutMs ?? Infinity);
  }

  /** Whether its whole prompt has been handed over, so that it goes on from its own tokens. */
  get decoding(): boolean {
    return this.remainingTokens.length === 0;
  }

  /** Tokens that the next step may feed: one if it writes, none if its end is under way. */
  get schedulableTokens(): number {
    const { maxTokens } = this.generationRequest;
    if (this.finishReason || this.cancelled || this.loading || this.preempted) return 0;
    if (maxTokens === 0 || this.followers.length > 0) return this.remainingTokens.length - 1;
    if (!this.decoding) return this.remainingTokens.length;
    if (this.cpuSampled && this.stepsInFlight > 0) return 0;
    return this.#sampled.length + this.stepsInFlight < maxTokens ? 1 : 0;
  }

  /** Whether each of its tokens must come back before the next one. */
  get cpuSampled(): boolean {
    const { constraint, logprobs, sampling: params } = this.generationRequest;
    return needsCpuSampling({ constraint, logprobs, params });
  }

  /** Tokens that may yet be sampled. */
  get samplingBudget(): number {
    return this.generationRequest.maxTokens - this.#sampled.length - this.stepsInFlight;
  }

  /** How it samples, from its first token on; `null` if it does not. */
  get sampling(): SlotSampling | null {
    const { sampling, counts, position, maxTokens, endToken, constraint, logprobs } =
      this.generationRequest;
    if (maxTokens === 0) return null;
    return {
      params: sampling,
      counts,
      position: position + this.#resumedAt,
      maxTokens: maxTokens - this.#resumedAt,
      alreadySampled: this.#sampled,
      endToken,
      stops: this.#stops,
      constraint,
      logprobs,
    };
  }

  /** Takes what the engine has sampled in `steps` steps. */
  completeSteps({ tokens, finishReason: end, logprobs }: GenerateResult, steps: number): void {
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
    this.finishReason = end;
  }

  /** @param state The slot's state, after everything handed to the engine; `null` if untouched. */
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

/** An async iterable that is pushed to; for one consumer. */
export class TokenQueue implements AsyncIterable<TokenBatch> {
  readonly #waiting: TokenBatch[] = [];
  #ended = false;
  #failure: unknown;
  #wake: () => void = () => {};

  /** Adds tokens that have come at once. */
  push(batch: TokenBatch): void {
    this.#waiting.push(batch);
    this.#wake();
  }

  /** Ends the iteration once all tokens are taken, with an error if given. */
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
