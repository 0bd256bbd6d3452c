/** A turn in a slot, or waiting for one: what is left of it, and what has come of it. */

import { deferred } from "../core/deferred.ts";
import type { StopSearch } from "../core/sampling.ts";
import { type Generated, needsHost, type SlotSampling } from "../engine/engine.ts";
import { recordToken } from "../sampler/penalties.ts";
import { startSearch } from "../sampler/stop_search.ts";
import type { PlannableTurn } from "./planner.ts";
import type { FinishedTurn, StateSource, TokenBatch, TurnWork } from "./scheduler_types.ts";
import { TokenQueue } from "./token_queue.ts";

export class ActiveTurn implements PlannableTurn {
  readonly work: TurnWork;
  readonly key: string;
  /** By the scheduler's clock: when it came, and when it got its slot. */
  readonly came: number;
  started = 0;
  /** -1 before it has one. */
  slot = -1;
  /** Whether its state is on its way to the slot. */
  loading = false;
  /** Turns that are to go on from this one's state when only the last token is left to be read. */
  followers: ActiveTurn[] = [];
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
  readonly #finished = deferred<FinishedTurn>();
  #sampled = 0;
  /** The token sampled last. */
  #token: number | null = null;

  /** @throws InferenceError `invalid_value` for too long stop strings. */
  constructor(work: TurnWork, now: number) {
    if (work.tokens.length === 0) throw new Error("a turn needs at least one token to feed");
    this.work = work;
    this.key = work.key ?? "";
    this.came = now;
    this.left = [...work.tokens];
    this.state = work.state;
    this.#stops = work.stops && startSearch(work.stops);
    // Whoever iterates sees the error as well; a caller may do only one of the two.
    this.#finished.promise.catch(() => {});
  }

  get finished(): Promise<FinishedTurn> {
    return this.#finished.promise;
  }

  /** Milliseconds until it had a slot. */
  get queued(): number | null {
    return this.slot < 0 ? null : this.started - this.came;
  }

  /** Ids as they are sampled. */
  get tokens(): AsyncIterable<TokenBatch> {
    return this.#tokens;
  }

  /** Whether nothing has been fed since it started. */
  get untouched(): boolean {
    return this.left.length === this.work.tokens.length;
  }

  /** Whether its followers can go on from its state. */
  get forkable(): boolean {
    return this.followers.length > 0 && this.left.length === 1 && !this.loading && !this.cancelled;
  }

  /** Its followers, on their own from now on: they have the last token of the prompt to read. */
  takeFollowers(): ActiveTurn[] {
    const { followers } = this;
    this.followers = [];
    for (const follower of followers) follower.left = [...this.left];
    return followers;
  }

  get cancelled(): boolean {
    return this.work.signal?.aborted ?? false;
  }

  /** Whether it has taken longer than it may. */
  late(now: number): boolean {
    return now - this.came > (this.work.within ?? Infinity);
  }

  /** Whether its whole prompt has been handed over, so that it goes on from its own tokens. */
  get writing(): boolean {
    return this.left.length === 0;
  }

  /** Tokens that the next step may feed: one if it writes, none if its end is under way. */
  get feedable(): number {
    const { maxTokens } = this.work;
    if (this.end || this.cancelled || this.loading) return 0;
    if (maxTokens === 0 || this.followers.length > 0) return this.left.length - 1;
    if (!this.writing) return this.left.length;
    if (this.onHost && this.stepsAhead > 0) return 0;
    return this.#sampled + this.stepsAhead < maxTokens ? 1 : 0;
  }

  /** Whether each of its tokens must come back before the next one. */
  get onHost(): boolean {
    const { constraint, logprobs, sampling: params } = this.work;
    return needsHost({ constraint, logprobs, params });
  }

  /** Tokens that may yet be sampled. */
  get room(): number {
    return this.work.maxTokens - this.#sampled - this.stepsAhead;
  }

  /** How it samples, from its first token on; `null` if it does not. */
  get sampling(): SlotSampling | null {
    const { sampling, counts, position, maxTokens, endToken, constraint, logprobs } = this.work;
    if (maxTokens === 0) return null;
    return {
      params: sampling,
      counts,
      position,
      limit: maxTokens,
      endToken,
      stops: this.#stops,
      constraint,
      logprobs,
    };
  }

  /** Takes what the engine has sampled in `steps` steps. */
  take({ tokens, end, logprobs }: Generated, steps: number): void {
    this.stepsAhead -= steps;
    for (const token of tokens) {
      recordToken(this.work.counts, token, this.work.sampling.penaltyDecay);
      this.#token = token;
      this.#sampled++;
    }
    if (tokens.length > 0) this.#tokens.push({ tokens, ...(logprobs ? { logprobs } : {}) });
    this.end = end;
  }

  /** @param state The slot's state, after everything handed to the engine; `null` if untouched. */
  finish(reason: FinishedTurn["reason"], state: Float32Array | null): void {
    for (const follower of this.followers) {
      follower.left = this.left;
      follower.finish(reason, state);
    }
    this.#tokens.end();
    const pending = this.#token === null ? this.left : [this.#token];
    this.#finished.resolve({ reason, state, pending, sampled: this.#sampled });
  }

  fail(error: unknown): void {
    for (const follower of this.followers) follower.fail(error);
    this.#tokens.end(error);
    this.#finished.reject(error);
  }
}
