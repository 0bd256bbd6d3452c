/** What the session asks of the scheduler, and what it gets back. */

import type { SamplingParams } from "../core/sampling.ts";

/** One turn's work: feed `tokens` to `state`, then sample until an end. */
export interface TurnWork {
  /** Recurrent state to start from, `null` for that before any token. */
  state: Float32Array | null;
  /** Token ids to feed before the first sample; at least one. */
  tokens: readonly number[];
  sampling: SamplingParams;
  /** How often each token was sampled so far in this conversation; changed in place. */
  counts: Map<number, number>;
  /** Tokens sampled so far in this conversation: the random number's position. */
  position: number;
  /** Ids that must never be sampled, 1 at their index; as long as the vocabulary. */
  banned: Uint8Array | null;
  /** Tokens to sample at most; 0 feeds all but the last token and samples nothing. */
  maxTokens: number;
  /** Asked at once for each sampled token, in order: true if the turn ends with it. */
  ends: (token: number) => boolean;
  /** Ends the turn, within one token. */
  signal?: AbortSignal | undefined;
}

export interface FinishedTurn {
  /** "stop": `ends` said so; "length": `maxTokens` reached; "cancelled": the signal. */
  reason: "stop" | "length" | "cancelled";
  /** The state after all tokens but `pending`. */
  state: Float32Array;
  /** Tokens not yet fed to `state`: the last one sampled, or what is left of the prompt. */
  pending: number[];
  /** Tokens sampled in this turn. */
  sampled: number;
}

/** A turn under way. Iterates over the sampled ids as they come. */
export interface Generation extends AsyncIterable<number> {
  /** Resolves once when the turn has ended; rejects with what went wrong. */
  readonly finished: Promise<FinishedTurn>;
}

/** What sessions need of a scheduler. */
export interface TurnRunner {
  /** @throws InferenceError `overloaded` or `shutting_down`. */
  submit(work: TurnWork): Generation;
}
