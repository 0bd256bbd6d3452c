/** What sessions take and give: requests, events, results, descriptions. */

import type { Constraint } from "../core/sampling.ts";
import type { TurnWork } from "../scheduler/scheduler_types.ts";
import type { StateCodec, StateShape } from "../store/state_codec.ts";
import type { Message, TranscriptEntry } from "./chat_template.ts";

export type { Conversation } from "../store/conversations.ts";

/** How tokens are sampled; the seed goes with the turn. */
export type Sampling = Omit<TurnWork["sampling"], "seed">;

export interface TurnRequest {
  /** With `stateId`: only what is new; none to write on a reply that was cut short. */
  messages: readonly Message[];
  /** Instead of messages: a text that is written on as it stands, without any template. */
  prompt?: string | undefined;
  stateId?: string | undefined;
  /**
   * A system message that this turn is to have besides `messages`, and no other such one from before;
   * `null`: none. Those of the turn before stay unless something is said.
   */
  instructions?: string | null | undefined;
  /** Instead of a state: the conversation that is to go on, and to be moved to the new state. */
  conversation?: string | undefined;
  /** Whether a state of another model is read again from its transcript, instead of refused. */
  reread?: boolean | undefined;
  /** Milliseconds that the new state lasts; the store's own unless told. */
  ttl?: number | undefined;
  /** Tokens to sample at most. */
  maxTokens?: number | undefined;
  /** Strings that end the reply and are not part of it. */
  stop?: readonly string[] | undefined;
  sampling?: Partial<Sampling> | undefined;
  seed?: bigint | undefined;
  /** What the reply must be. */
  constraint?: Constraint | undefined;
  /** How many most probable tokens are told with each one of the reply; nothing unless given. */
  logprobs?: number | undefined;
  /** Whether the new state's id can be resumed from the start, not only when the turn has ended. */
  stream?: boolean | undefined;
  /** Whether the new state is stored; it is unless told. */
  keep?: boolean | undefined;
  /** Any JSON that is kept with the new state, for `Sessions.report`. */
  note?: unknown;
}

export interface Usage {
  /** Everything the model has read, what its state had absorbed before included. */
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: {
    /** Tokens that did not have to be read again. */
    cached_tokens: number;
  };
}

/** "length": cut short, by the limit or by a cancellation; the turn is open. */
export type FinishReason = "stop" | "length";

export interface TurnEnd {
  finishReason: FinishReason;
  usage: Usage;
  /** `null`: the turn could not be stored, as `warning` tells. */
  stateId: string | null;
  warning?: string;
}

/** A token, and how probable it was by the model alone. */
export interface TokenChance {
  token: number;
  /** Its text; perhaps a part of a character. */
  bytes: Uint8Array;
  logprob: number;
}

/** A token of the reply, with those that were most probable in its place. */
export interface TextToken extends TokenChance {
  top: readonly TokenChance[];
}

export interface TextEvent {
  type: "text";
  text: string;
  /** The tokens that the text is of, where they are asked for. */
  tokens?: readonly TextToken[];
}

export type TurnEvent = TextEvent | ({ type: "end" } & TurnEnd);

export interface TurnResult extends TurnEnd {
  /** What this turn added to the reply. */
  text: string;
  /** Its tokens, where they are asked for. */
  tokens?: readonly TextToken[];
}

/** The model that a worker runs. */
export interface SessionModel {
  id: string;
  fingerprint: string;
  /** How its weights are held. */
  quant?: string;
  /** Rows of the head. */
  vocabulary: number;
  /** Of its states, and how they are held where they are stored. */
  shape: StateShape;
  codec: StateCodec;
  /** Epoch seconds. */
  created: number;
}

/** What can be told of a state. */
export interface StateDescription {
  id: string;
  model: { id: string; fingerprint: string; quant?: string };
  /** Epoch milliseconds. */
  created: number;
  expires: number;
  /** Of the model's state, the turn's record and the history. */
  bytes: number;
  /** Whether the reply is unfinished. */
  open: boolean;
  /** Tokens absorbed by the state, and tokens to be fed to it first when it is resumed. */
  tokens: number;
  pendingTokens: number;
  transcript: readonly TranscriptEntry[];
}
