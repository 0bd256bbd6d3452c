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
import { TokenQueue } from "./token_queue.ts";

export class ScheduledTurn implements PlannableTurn {
  readonly work: GenerationRequest;
  readonly fairnessKey: string;
  /** The same object for all turns of a request. */
  readonly request: object;
  /** By the scheduler's clock: when it came, began to wait for a slot, and got that. */
  readonly arrivedAt: number;
  waitingSince: number;
  started = 0;
  /** -1 before it has one. */
  slot = -1;
  /** Whether its state is on its way to the slot. */
  loading = false;
  /** Whether a step has served it since it got its slot. */
  served = false;
  /** Whether it is to leave its slot to another turn, as soon as nothing of it is under way. */
  preempted = false;
  /** Turns that are to go on from this one's state when only the last token is left to be read. */
  followers: ScheduledTurn[] = [];
  /** What it starts from. */
  state: StateSource | null;
  /** Tokens that have not been handed to the engine. */
  left: number[];
  /** Steps handed to the engine that have not come back. */
  stepsAhead = 0;
  /** Why it has ended, once it has. */
  end: "stop" | "length" | null = null;
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
    this.work = work;
    this.fairnessKey = work.fairnessKey ?? "";
    this.request = request;
    this.arrivedAt = now;
    this.waitingSince = now;
    this.left = [...work.tokens];
    this.state = work.state;
    this.#stops = work.stops && createStopSearch(work.stops);
    // Whoever iterates sees the error as well; a caller may do only one of the two.
    this.#finished.promise.catch(() => {});
  }

  get finished(): Promise<GenerationResult> {
    return this.#finished.promise;
  }

  /** Milliseconds until it had its first slot. */
  get queued(): number | null {
    return this.#queued;
  }

  /** Gives it a slot. */
  place(slot: number, now: number): void {
    this.slot = slot;
    this.started = now;
    this.served = false;
    this.#queued ??= now - this.arrivedAt;
  }

  /** Takes its slot away; `state` is what it leaves there, `null` if that is untouched. */
  suspend(state: Promise<Float32Array> | null, now: number): void {
    this.slot = -1;
    this.preempted = false;
    this.waitingSince = now;
    this.#resumedAt = this.#sampled.length;
    if (this.decoding) this.left = [this.#sampled[this.#sampled.length - 1]];
    if (state !== null) this.state = { key: null, load: () => state };
  }

  /** Takes the next `count` tokens that it is to be fed. */
  takeRemaining(count: number): number[] {
    this.#fed = true;
    return this.left.splice(0, count);
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
  get forkable(): boolean {
    return this.followers.length > 0 && this.left.length === 1 && !this.loading && !this.cancelled;
  }

  /** Its followers, on their own from now on: they have the last token of the prompt to read. */
  takeFollowers(): ScheduledTurn[] {
    const { followers } = this;
    this.followers = [];
    for (const follower of followers) {
      follower.left = [...this.left];
      follower.#fed = this.#fed;
    }
    return followers;
  }

  get cancelled(): boolean {
    return this.work.signal?.aborted ?? false;
  }

  /** Whether it has taken longer than it may. */
  timedOut(now: number): boolean {
    return now - this.arrivedAt > (this.work.timeoutMs ?? Infinity);
  }

  /** Whether its whole prompt has been handed over, so that it goes on from its own tokens. */
  get decoding(): boolean {
    return this.left.length === 0;
  }

  /** Tokens that the next step may feed: one if it writes, none if its end is under way. */
  get prefillTokens(): number {
    const { maxTokens } = this.work;
    if (this.end || this.cancelled || this.loading || this.preempted) return 0;
    if (maxTokens === 0 || this.followers.length > 0) return this.left.length - 1;
    if (!this.decoding) return this.left.length;
    if (this.cpuSampled && this.stepsAhead > 0) return 0;
    return this.#sampled.length + this.stepsAhead < maxTokens ? 1 : 0;
  }

  /** Whether each of its tokens must come back before the next one. */
  get cpuSampled(): boolean {
    const { constraint, logprobs, sampling: params } = this.work;
    return needsCpuSampling({ constraint, logprobs, params });
  }

  /** Tokens that may yet be sampled. */
  get freeTokens(): number {
    return this.work.maxTokens - this.#sampled.length - this.stepsAhead;
  }

  /** How it samples, from its first token on; `null` if it does not. */
  get sampling(): SlotSampling | null {
    const { sampling, counts, position, maxTokens, endToken, constraint, logprobs } = this.work;
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
  take({ tokens, finishReason: end, logprobs }: GenerateResult, steps: number): void {
    this.stepsAhead -= steps;
    this.served = true;
    for (const token of tokens) {
      recordToken(this.work.counts, token, this.work.sampling.penaltyDecay);
      this.#sampled.push(token);
    }
    if (tokens.length > 0) this.#tokens.push({ tokens, ...(logprobs ? { logprobs } : {}) });
    this.end = end;
  }

  /** @param state The slot's state, after everything handed to the engine; `null` if untouched. */
  finish(reason: GenerationResult["reason"], state: Float32Array | null): void {
    for (const follower of this.followers) {
      follower.left = this.left;
      follower.finish(reason, state);
    }
    this.#tokens.end();
    const last = this.#sampled.at(-1);
    const pending = last === undefined ? this.left : [last];
    this.#finished.resolve({ reason, state, pending, sampled: this.#sampled.length });
  }

  fail(error: unknown): void {
    for (const follower of this.followers) follower.fail(error);
    this.#tokens.end(error);
    this.#finished.reject(error);
  }
}
