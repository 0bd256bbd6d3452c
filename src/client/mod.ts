/**
 * A client for the workers' API. It needs only `fetch`.
 *
 * @module
 */

export { ApiError, type ApiErrorDetails } from "./api_error.ts";
export type * from "./api_types.ts";
export { ChatStream, type Reply } from "./chat_stream.ts";
export { type Client, createClient } from "./client.ts";
export {
  type ChatApi,
  ChatSession,
  type ChatSessionOptions,
  type MessageInput,
} from "./chat_session.ts";
export type { ClientOptions } from "./transport.ts";
export type {
  CallOptions,
  ChatMessage,
  ChatParams,
  ChatUsage,
  ConversationObject,
  ModelObject,
  PageParams,
  StateObject,
  StreamParams,
  TextParams,
  TurnParams,
  WorkerHealth,
} from "./types.ts";
