/** What sessions take and give: requests, events, results, descriptions. */

import type { Constraint } from "../core/sampling.ts";
import type { TokenCharge } from "../core/token_charge.ts";
import type { GenerationRequest } from "../scheduler/scheduler_types.ts";
import type { StateCodec, StateShape } from "../store/states/state_codec.ts";
import type { Message, TranscriptEntry } from "../prompt/chat_template.ts";

export type { Conversation } from "../store/states/conversations.ts";

/** How tokens are sampled; the seed goes with the turn. */
export type Sampling = Omit<GenerationRequest["sampling"], "seed">;

/** Whom turns are charged to, and within what bounds: an account of whoever asks. */
export interface TurnAccount {
  /** Tokens that one request may give to read, where nothing else bounds them but `otherwise`. */
  promptTokenLimit(fallback: number): number;
  /**
   * Asserts that so many tokens may be read now.
   *
   * @throws InferenceError `rate_limit_exceeded`
   */
  assertTokensLeft(tokens: number): void;
  /** Charges a prompt that is going to be read. */
  charge(tokens: number): TokenCharge;
  /**
   * Holds room for states that are to be stored; what is returned lets go of it.
   *
   * @throws InferenceError `storage_limit_exceeded`
   */
  reserveStorage(states: number, bytes: number): Promise<() => void>;
}

/**
 * Told how many bytes are going to be read for a request, before they are; what it throws is thrown
 * instead of reading them.
 */
export type ReserveMemory = (bytes: number) => void;

/** A turn to take: what is said, where it goes on from, how it is answered. */
export interface TurnRequest {
  /** With `stateId`: only what is new; none to write on a reply that was cut short. */
  messages: readonly Message[];
  /** Whether the last message, of the assistant, is the beginning of the reply. */
  continueFinalMessage?: boolean | undefined;
  /** Instead of messages: a text that is written on as it stands, without any template. */
  prompt?: string | undefined;
  /** The state that it goes on from. */
  stateId?: string | undefined;
  /**
   * A system message that this turn is to have besides `messages`, and no other such one from before;
   * `null`: none. Those of the turn before stay unless something is said.
   */
  instructions?: string | null | undefined;
  /** Instead of a state: the conversation that is to go on, and to be moved to the new state. */
  conversation?: string | undefined;
  /** Whether a state of another model is read again from its transcript, instead of refused. */
  reprocess?: boolean | undefined;
  /** Milliseconds that the new state lasts; the store's own unless told. */
  ttl?: number | undefined;
  /** Tokens to sample at most. */
  maxTokens?: number | undefined;
  /** Strings that end the reply and are not part of it. */
  stop?: readonly string[] | undefined;
  /** Whether nothing but `stop` and `maxTokens` ends the reply. */
  ignoreEos?: boolean | undefined;
  /** How tokens are chosen, where not as the sessions do it. */
  sampling?: Partial<Sampling> | undefined;
  /** The same one gives the same text; a new one, or that of the turn which goes on, unless given. */
  seed?: bigint | undefined;
  /** What the reply must be. */
  constraint?: Constraint | undefined;
  /** How many most probable tokens are told with each one of the reply; nothing unless given. */
  logprobs?: number | undefined;
  /** Whether a stream tells all of these once more at its end; only what is not streamed unless told. */
  logprobsAtEnd?: boolean | undefined;
  /** Whether the new state's id can be resumed from the start, not only when the turn has ended. */
  stream?: boolean | undefined;
  /** Whether the new state is stored; it is unless told. */
  store?: boolean | undefined;
  /** Any JSON that is kept with the new state, for `Sessions.report`. */
  note?: unknown;
  /** Whom it is charged to; nobody unless given. */
  account?: TurnAccount | undefined;
}

/** Tokens read and written in a turn. */
export interface Usage {
  /** Everything the model has read, what its state had absorbed before included. */
  prompt_tokens: number;
  /** Written. */
  completion_tokens: number;
  /** The sum of both. */
  total_tokens: number;
  /** Of what was read. */
  prompt_tokens_details: {
    /** Tokens that did not have to be read again. */
    cached_tokens: number;
  };
}

/** "length": cut short, by the limit or by a cancellation; the turn is open. */
export type FinishReason = "stop" | "length";

/** How a turn has ended. */
export interface TurnEnd {
  /** Why. */
  finishReason: FinishReason;
  /** Tokens read and written. */
  usage: Usage;
  /** `null`: the turn was not stored, which `warning` explains unless that was asked for. */
  stateId: string | null;
  /** Why it could not be stored. */
  warning?: string;
}

/** A token, and how probable it was by the model alone. */
export interface TokenProbability {
  /** Its id. */
  token: number;
  /** Its text; perhaps a part of a character. */
  bytes: Uint8Array;
  /** Natural logarithm of its probability. */
  logprob: number;
}

/** A token of the reply, with those that were most probable in its place. */
export interface TextToken extends TokenProbability {
  /** The most probable one first. */
  top: readonly TokenProbability[];
}

/** A piece of a reply. */
export interface TextEvent {
  /** What this is. */
  type: "text";
  /** What is new. */
  text: string;
  /** The tokens that the text is of, where they are asked for. */
  tokens?: readonly TextToken[];
}

/** What a turn tells while it is written, its end last. */
export type TurnEvent = TextEvent | ({ type: "end" } & TurnEnd);

/** A turn as it ended. */
export interface TurnResult extends TurnEnd {
  /** What this turn added to the reply. */
  text: string;
  /** Its tokens, where they are asked for and the turn is not streamed: a stream's are in its events. */
  tokens?: readonly TextToken[];
}

/** The model that a worker runs. */
export interface SessionModel {
  /** Its name. */
  id: string;
  /** Of its weights; states belong to it. */
  fingerprint: string;
  /** Of its vocabulary; states of another one do not go on. */
  vocabularyHash?: string;
  /** How its weights are held. */
  quant?: string;
  /** Rows of the head. */
  vocabulary: number;
  /** Of its states. */
  shape: StateShape;
  /** How its states are held where they are stored. */
  codec: StateCodec;
  /** Epoch seconds. */
  created: number;
}

/** What can be told of a state. */
export interface StateDescription {
  /** Its own. */
  id: string;
  /** The model that wrote it. */
  model: { id: string; fingerprint: string; quant?: string };
  /** Epoch milliseconds. */
  created: number;
  /** Epoch milliseconds, unless it is used before. */
  expires: number;
  /** Of the model's state, the turn's record and the history. */
  bytes: number;
  /** Whether the reply is unfinished. */
  open: boolean;
  /** Absorbed by the state. */
  tokens: number;
  /** To be fed first when it is resumed. */
  pendingTokens: number;
  /** Messages of the conversation that led to it. */
  messageCount: number;
  /** Whether the conversation goes on behind `transcript`. */
  hasMore: boolean;
  /** The page of the conversation that was asked for. */
  transcript: readonly TranscriptEntry[];
}
