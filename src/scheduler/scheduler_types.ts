/** The interface between sessions and the scheduler. */

import type { Constraint, SamplingParams, StopStrings, TokenLogprobs } from "../core/sampling.ts";

/** A stored recurrent state. */
export interface StateSource {
  /** Identifies the state. A slot that still contains this state is reused without loading. */
  stateKey: string | null;
  /** Loads the state. Called when a slot is free. */
  load(): Promise<Float32Array>;
}

/** Input of one turn: process `tokens` from `state`, then sample until an end. */
export interface GenerationRequest {
  /** Groups turns for fairness; all turns share one key by default. */
  fairnessKey?: string | undefined;
  /** Recurrent state to start from; `null` is the state before any token. */
  state: StateSource | null;
  /** Token ids to process before the first sample; at least one. */
  tokens: readonly number[];
  /** Sampling parameters. */
  sampling: SamplingParams;
  /** How often each token was sampled in this conversation. Updated in place. */
  counts: Map<number, number>;
  /** Number of tokens sampled in this conversation: the position in the random sequence. */
  position: number;
  /**
   * Maximum number of tokens to sample. 0 processes all tokens except the last and samples none.
   */
  maxTokens: number;
  /** Token id that ends the turn. */
  endToken: number | null;
  /** Stop strings. The turn ends with the last byte of one of them. */
  stops: StopStrings | null;
  /** Constraint on the generated text. It must be prepared first. */
  constraint?: Constraint | undefined;
  /**
   * Number of most probable tokens to return with each token; log probabilities are off by default.
   */
  logprobs?: number | undefined;
  /** Timeout in milliseconds, including queueing. The turn then ends with the tokens so far. */
  timeoutMs?: number | undefined;
  /** Cancels the turn. Tokens of steps in flight are kept. */
  signal?: AbortSignal | undefined;
}

/** The result of a turn and its final state. */
export interface GenerationResult {
  /**
   * "stop": an end token or a stop string; "length": `maxTokens` reached; "timeout": `timeoutMs`
   * passed; "cancelled": `signal` aborted.
   */
  reason: "stop" | "length" | "timeout" | "cancelled";
  /** The state after all tokens except `pendingTokens`; `null` if it is the initial state. */
  state: Float32Array | null;
  /** Tokens that `state` has not processed: the last sampled one, or the rest of the prompt. */
  pendingTokens: number[];
  /** Number of tokens sampled in this turn. */
  sampledTokens: number;
}

/** Tokens that were sampled in one call of the engine. */
export interface TokenBatch {
  /** Token ids, in order. */
  tokens: readonly number[];
  /** Log probabilities of each token, if requested. */
  logprobs?: readonly TokenLogprobs[];
}

/** A running turn. Iterating yields tokens as they are sampled. */
export interface Generation extends AsyncIterable<TokenBatch> {
  /** Resolves when the turn has ended; rejects if it has failed. */
  readonly finished: Promise<GenerationResult>;
  /** Milliseconds until the turn had a slot; `null` before that. */
  readonly queuedMs: number | null;
  /**
   * Names the final state of an ended turn, so that a later turn can find it in the slot.
   *
   * @param state Replaces the state in the slot, if the stored state differs from it.
   */
  keepWarm(key: string, state?: Float32Array): void;
}

/** The scheduler's methods that sessions use. */
export interface GenerationRunner {
  /**
   * Prepares a constraint for the turns that use it.
   *
   * @throws InferenceError `invalid_value` for an unsupported constraint, `unsupported_value` if the
   * engine supports no constraints
   */
  prepareConstraint(constraint: Constraint): Promise<void>;

  /**
   * Queues one turn.
   *
   * @throws InferenceError `overloaded`, `too_many_turns`, `shutting_down`, or `invalid_value` for
   * stop strings that are too long
   */
  submit(request: GenerationRequest): Generation;

  /**
   * Queues several turns with the same state and prompt. The prompt is processed once; if the first
   * turn ends before that, all of them end. Throws like `submit`.
   */
  submitAll(requests: readonly GenerationRequest[]): Generation[];
}
