/** What the session asks of the scheduler, and what it gets back. */

import type { Constraint, SamplingParams, StopStrings, TokenLogprobs } from "../core/sampling.ts";

/** A recurrent state that is kept somewhere. */
export interface StateSource {
  /** Names it, and no other state: a slot that still holds it is used as it is. */
  fairnessKey: string | null;
  /** Gets it, when there is a slot for it. */
  load(): Promise<Float32Array>;
}

/** One turn's work: feed `tokens` to `state`, then sample until an end. */
export interface GenerationRequest {
  /** Whose it is, for fairness; all are one's unless told. */
  fairnessKey?: string | undefined;
  /** Recurrent state to start from, `null` for that before any token. */
  state: StateSource | null;
  /** Token ids to feed before the first sample; at least one. */
  tokens: readonly number[];
  /** How tokens are chosen. */
  sampling: SamplingParams;
  /** How often each token was sampled so far in this conversation; changed in place. */
  counts: Map<number, number>;
  /** Tokens sampled so far in this conversation: the random number's position. */
  position: number;
  /** Tokens to sample at most; 0 feeds all but the last token and samples nothing. */
  maxTokens: number;
  /** Id with which the turn ends. */
  endToken: number | null;
  /** Strings with whose last byte the turn ends. */
  stops: StopStrings | null;
  /** What the tokens must form; prepared before. */
  constraint?: Constraint | undefined;
  /** How many most probable tokens are told with each one; nothing unless given. */
  logprobs?: number | undefined;
  /** Milliseconds after which the turn ends as it is, the time in the queue included. */
  timeoutMs?: number | undefined;
  /** Ends the turn, with the tokens that are under way then. */
  signal?: AbortSignal | undefined;
}

/** How a turn has ended, and the state that it leads to. */
export interface GenerationResult {
  /** "stop": by the end token or a stop string; "length": `maxTokens` reached; "late": it took
   * longer than `within`; "cancelled": the signal. */
  reason: "stop" | "length" | "late" | "cancelled";
  /** The state after all tokens but `pending`; `null`: the one it started from. */
  state: Float32Array | null;
  /** Tokens not yet fed to `state`: the last one sampled, or what is left of the prompt. */
  pendingTokens: number[];
  /** Tokens sampled in this turn. */
  sampledTokens: number;
}

/** Tokens that came at once. */
export interface TokenBatch {
  /** Ids, in order. */
  tokens: readonly number[];
  /** Of each of them, where they were asked for. */
  logprobs?: readonly TokenLogprobs[];
}

/** A turn under way. Iterates over what is sampled as it comes. */
export interface Generation extends AsyncIterable<TokenBatch> {
  /** Resolves once when the turn has ended; rejects with what went wrong. */
  readonly finished: Promise<GenerationResult>;
  /** Milliseconds until it had a slot; `null` while it has had none of its own. */
  readonly queuedMs: number | null;
  /**
   * Once it has ended: names its state, for turns to come, as long as its slot holds that.
   *
   * @param state What turns to come are to find there, where that is another one.
   */
  keepWarm(key: string, state?: Float32Array): void;
}

/** What sessions need of a scheduler. */
export interface GenerationRunner {
  /**
   * Makes ready what turns with this constraint need.
   *
   * @throws InferenceError `invalid_value` for one that can't be held
   */
  prepareConstraint(constraint: Constraint): Promise<void>;

  /**
   * Queues one turn.
   *
   * @throws InferenceError `overloaded`, `too_many_turns`, `shutting_down`, or `invalid_value` for too
   * long stops.
   */
  submit(work: GenerationRequest): Generation;

  /**
   * Several turns that start from the same state with the same tokens, which are read once. Until
   * then the first one's end is that of all. Throws as `submit`.
   */
  submitAll(works: readonly GenerationRequest[]): Generation[];
}
