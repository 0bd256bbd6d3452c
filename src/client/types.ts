/** The client's names for the API's types. */

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

/** A chat completion request. The method determines whether it streams. */
export type ChatParams = Omit<ChatCompletionRequest, "stream" | "stream_options">;
/** A text completion request. */
export type TextParams = Omit<CompletionRequest, "stream" | "stream_options">;
/** The numbers of tokens of a turn. */
export type ChatUsage = ChatCompletion["usage"];
/** A message of a conversation. */
export type ChatMessage = Message;
/** A named conversation of the worker, with its current state. */
export type ConversationObject = Conversation;
/** A worker's health. */
export type WorkerHealth = Health;
/** A model of the worker. */
export type ModelObject = Model;
/** A stored state's metadata and transcript. */
export type StateObject = State;

/** A page of a state's transcript. */
export interface PageParams {
  /** The number of messages to skip. */
  after?: number | undefined;
  /** The maximum number of messages. */
  limit?: number | undefined;
}

/** A chat completion request with one choice. */
export type StreamParams = Omit<ChatParams, "n">;

/** The parameters of a chat session's turn. The session adds the messages and its state. */
export type TurnParams = Omit<StreamParams, "messages" | "state_id" | "conversation">;

/** The options of every call. */
export interface CallOptions {
  /** Cancels the call. A cancelled turn stores its partial reply, which can be resumed. */
  signal?: AbortSignal | undefined;
  /** Makes a retry of the call safe: the worker processes one request per key. */
  idempotencyKey?: string | undefined;
}
