/** Types of sessions: requests, events, results and descriptions. */

import type { Constraint } from "../core/sampling.ts";
import type { TokenCharge } from "../core/token_charge.ts";
import type { GenerationRequest } from "../scheduler/scheduler_types.ts";
import type { StateCodec, StateShape } from "../store/states/state_codec.ts";
import type { Message, TranscriptEntry } from "../prompt/chat_template.ts";

export type { Conversation } from "../store/states/conversations.ts";

/** Sampling parameters without the seed, which belongs to the turn. */
export type Sampling = Omit<GenerationRequest["sampling"], "seed">;

/** The account that a turn is charged to, with its limits. */
export interface TurnAccount {
  /**
   * Returns the maximum number of prompt tokens of one request; `fallback` if the account has no
   * limit.
   */
  promptTokenLimit(fallback: number): number;
  /**
   * Asserts that the rate limits allow a prompt of `tokens` tokens now.
   *
   * @throws InferenceError `rate_limit_exceeded`
   */
  assertTokensLeft(tokens: number): void;
  /** Charges a prompt before it is processed. */
  charge(tokens: number): TokenCharge;
  /**
   * Reserves storage for states. Returns a function that releases the reservation.
   *
   * @throws InferenceError `storage_limit_exceeded`
   */
  reserveStorage(states: number, bytes: number): Promise<() => void>;
}

/**
 * Reserves memory for bytes before they are read for a request. Throws if the memory is exhausted;
 * then nothing is read.
 */
export type ReserveMemory = (bytes: number) => void;

/** A request for one or more turns. */
export interface TurnRequest {
  /**
   * With a state or a conversation, only the new messages. Empty to continue an unfinished reply.
   */
  messages: readonly Message[];
  /** Whether the last message, of the assistant, is the beginning of the reply. */
  continueFinalMessage?: boolean | undefined;
  /** A raw text to continue instead of messages, without a chat template. */
  prompt?: string | undefined;
  /** The state to resume. */
  stateId?: string | undefined;
  /**
   * A system message for this turn only, which replaces the one of the previous turn; `null`
   * removes it. Without this option and without new messages, the previous instructions apply.
   */
  instructions?: string | null | undefined;
  /** A conversation to resume instead of a state. It moves to the new state. */
  conversation?: string | undefined;
  /** Whether the transcript of a state of another model is processed again instead of rejected. */
  reprocess?: boolean | undefined;
  /** Lifetime of the new state in milliseconds; the store's default if not given. */
  ttl?: number | undefined;
  /** Maximum number of tokens to sample. */
  maxTokens?: number | undefined;
  /** Strings that end the reply and are not part of it. */
  stop?: readonly string[] | undefined;
  /** Whether only `stop` and `maxTokens` end the reply. */
  ignoreEos?: boolean | undefined;
  /** Sampling parameters that differ from the defaults. */
  sampling?: Partial<Sampling> | undefined;
  /**
   * The same seed gives the same text. By default, an unfinished reply that is continued keeps its
   * seed, and other replies get a new one.
   */
  seed?: bigint | undefined;
  /** Constraint on the reply. */
  constraint?: Constraint | undefined;
  /**
   * Number of most probable tokens to return with each token; log probabilities are off by default.
   */
  logprobs?: number | undefined;
  /**
   * Whether the end of a turn repeats all log probabilities; by default only if it is not streamed.
   */
  logprobsAtEnd?: boolean | undefined;
  /** Whether the new state can be resumed from the start of the turn, not only after its end. */
  stream?: boolean | undefined;
  /** Whether the new state is stored; it is by default. */
  store?: boolean | undefined;
  /** Any JSON to store with the new state, for `Sessions.report`. */
  note?: unknown;
  /** The account to charge. */
  account?: TurnAccount | undefined;
}

/** Prompt and completion tokens of a turn. */
export interface Usage {
  /**
   * All tokens that the model has processed before the reply, including those of the resumed state.
   */
  prompt_tokens: number;
  /** Tokens of the reply. */
  completion_tokens: number;
  /** The sum of both. */
  total_tokens: number;
  /** Details of the prompt tokens. */
  prompt_tokens_details: {
    /** Tokens that were not reprocessed. */
    cached_tokens: number;
  };
}

/** "length": ended by a limit or a cancellation; the turn is open. */
export type FinishReason = "stop" | "length";

/** The end of a turn. */
export interface TurnEnd {
  /** Why the reply ended. */
  finishReason: FinishReason;
  /** Prompt and completion tokens. */
  usage: Usage;
  /**
   * `null` if the turn was not stored. `warning` gives the reason unless the request disabled it.
   */
  stateId: string | null;
  /** Why the turn could not be stored. */
  warning?: string;
}

/** A token with its log probability in the model's own distribution. */
export interface TokenProbability {
  /** Token id. */
  token: number;
  /** Its bytes, possibly a part of a character. */
  bytes: Uint8Array;
  /** Natural logarithm of its probability. */
  logprob: number;
}

/** A token of the reply with the most probable alternatives. */
export interface TextToken extends TokenProbability {
  /** In descending order of probability. */
  top: readonly TokenProbability[];
}

/** A piece of a reply. */
export interface TextEvent {
  /** Discriminates the event. */
  type: "text";
  /** The new text. */
  text: string;
  /** The tokens of the text, if log probabilities are requested. */
  tokens?: readonly TextToken[];
}

/** An event of a turn. The last one is its end. */
export type TurnEvent = TextEvent | ({ type: "end" } & TurnEnd);

/** The result of a turn. */
export interface TurnResult extends TurnEnd {
  /** The text that this turn added to the reply. */
  text: string;
  /** Its tokens, if log probabilities are requested and the turn is not streamed. */
  tokens?: readonly TextToken[];
}

/** The model that a worker runs. */
export interface SessionModel {
  /** Name of the model. */
  id: string;
  /** Hash of its weights. A state belongs to one fingerprint. */
  fingerprint: string;
  /** Hash of its vocabulary. States of another vocabulary cannot be resumed. */
  vocabularyHash?: string;
  /** Format of its weights. */
  quant?: string;
  /** Number of output rows. */
  vocabulary: number;
  /** Shape of its states. */
  shape: StateShape;
  /** How states of finished turns are stored. */
  codec: StateCodec;
  /** Epoch seconds. */
  created: number;
}

/** A description of a stored state. */
export interface StateDescription {
  /** Id of the state. */
  id: string;
  /** The model that wrote it. */
  model: { id: string; fingerprint: string; quant?: string };
  /** Epoch milliseconds. */
  created: number;
  /** Epoch milliseconds; every use extends it. */
  expires: number;
  /** Stored size of the state, the turn and the history. */
  bytes: number;
  /** Whether the reply is unfinished. */
  open: boolean;
  /** Number of tokens that the state has processed. */
  tokens: number;
  /** Number of tokens that the next turn processes first. */
  pendingTokens: number;
  /** Number of messages of the whole transcript. */
  messageCount: number;
  /** Whether messages follow `transcript`. */
  hasMore: boolean;
  /** The requested page of the transcript. */
  transcript: readonly TranscriptEntry[];
}
