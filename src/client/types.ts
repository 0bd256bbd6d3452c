/** What the client sends and gets: the types of the schemas that a worker checks by. */

import type { z } from "zod";
import type { chatSchema } from "../../routes/chat_schema.ts";
import type { completionSchema } from "../../routes/chat_response_schema.ts";
import type { completionRequestSchema, TextCompletion } from "../../routes/completion_schema.ts";
import type {
  conversationChangeSchema,
  conversationSchema,
} from "../../routes/conversation_schema.ts";
import type { healthSchema } from "../../routes/health_schema.ts";
import type { messageSchema } from "../../routes/message_schema.ts";
import type { modelSchema } from "../../routes/model_schema.ts";
import type { stateSchema } from "../../routes/state_schema.ts";

export type ChatParams = Omit<z.input<typeof chatSchema>, "stream" | "stream_options">;
export type ChatCompletion = z.output<typeof completionSchema>;
export type { TextCompletion };
export type TextParams = Omit<
  z.input<typeof completionRequestSchema>,
  "stream" | "stream_options"
>;
export type ChatUsage = ChatCompletion["usage"];
export type ChatMessage = z.input<typeof messageSchema>;
export type ConversationChange = z.input<typeof conversationChangeSchema>;
export type ConversationObject = z.output<typeof conversationSchema>;
export type WorkerHealth = z.output<typeof healthSchema>;
export type ModelObject = z.output<typeof modelSchema>;
export type StateObject = z.output<typeof stateSchema>;

/** Of one choice. */
export type StreamParams = Omit<ChatParams, "n">;

/** How a turn of a talk is taken; where it goes on from is the talk's. */
export type TurnParams = Omit<StreamParams, "messages" | "state_id" | "conversation">;

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** Lets the call be sent again without being done twice. */
  idempotencyKey?: string | undefined;
}
