/** What the client sends and gets, by its own names. */

import type {
  ChatCompletion,
  ChatCompletionRequest,
  CompletionRequest,
  Conversation,
  Health,
  Message,
  Model,
  State,
} from "./api_types.ts";

export type {
  ChatCompletion,
  ConversationChange,
  NewConversation,
  TextCompletion,
} from "./api_types.ts";

/** A turn to take. Whether it is streamed is told by the method that takes it. */
export type ChatParams = Omit<ChatCompletionRequest, "stream" | "stream_options">;
/** A text to be written on. */
export type TextParams = Omit<CompletionRequest, "stream" | "stream_options">;
/** Tokens read and written in a turn. */
export type ChatUsage = ChatCompletion["usage"];
/** What somebody says. */
export type ChatMessage = Message;
/** A name on the worker's side, and the state that it has come to. */
export type ConversationObject = Conversation;
/** How a worker is. */
export type WorkerHealth = Health;
/** The model that a worker runs. */
export type ModelObject = Model;
/** What is known of a stored state. */
export type StateObject = State;

/** The part of a state's transcript that is wanted. */
export interface PageParams {
  /** Messages to skip. */
  after?: number | undefined;
  /** Messages at most. */
  limit?: number | undefined;
}

/** A turn of one choice. */
export type StreamParams = Omit<ChatParams, "n">;

/** How a turn of a talk is taken; where it goes on from is the talk's. */
export type TurnParams = Omit<StreamParams, "messages" | "state_id" | "conversation">;

/** How a call is made, whatever it asks for. */
export interface CallOptions {
  /** Ends the call; the turn that it has begun ends as it is, and can be resumed. */
  signal?: AbortSignal | undefined;
  /** Lets the call be sent again without being done twice. */
  idempotencyKey?: string | undefined;
}
