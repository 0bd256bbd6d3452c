/** The client's generated types match the routes' schemas. */

import assert from "node:assert/strict";
import type { z } from "zod";
import { formattedClientTypes } from "../../package/client_types.ts";
import type { chatSchema } from "../../routes/chat/chat_schema.ts";
import type { chunkSchema, completionSchema } from "../../routes/chat/chat_response_schema.ts";
import type {
  completionRequestSchema,
  textCompletionSchema,
} from "../../routes/completions/completion_schema.ts";
import type {
  conversationChangeSchema,
  conversationSchema,
} from "../../routes/conversations/conversation_schema.ts";
import type { healthSchema } from "../../routes/system/health_schema.ts";
import type { modelSchema } from "../../routes/models/model_schema.ts";
import type { stateSchema } from "../../routes/states/state_schema.ts";
import type * as api from "../../src/client/api_types.ts";

/** The schema accepts what a client may send. */
type RequestType<Own extends z.input<Schema>, Schema extends z.ZodType> = [Own, Schema];
/** The client's type describes what a worker returns. */
type ResponseType<Own, Schema extends z.ZodType<Own>> = [Own, Schema];

/** Compiles only if the generated types match the schemas. */
export type Checked = [
  RequestType<api.ChatCompletionRequest, typeof chatSchema>,
  RequestType<api.CompletionRequest, typeof completionRequestSchema>,
  RequestType<api.ConversationChange, typeof conversationChangeSchema>,
  ResponseType<api.ChatCompletion, typeof completionSchema>,
  ResponseType<api.ChatCompletionChunk, typeof chunkSchema>,
  ResponseType<api.TextCompletion, typeof textCompletionSchema>,
  ResponseType<api.Conversation, typeof conversationSchema>,
  ResponseType<api.Health, typeof healthSchema>,
  ResponseType<api.Model, typeof modelSchema>,
  // The schema's list is read-only for the worker.
  ResponseType<Omit<api.State, "transcript">, typeof stateSchema>,
];

Deno.test("client: the generated types are current; deno task client:types updates them", async () => {
  const file = new URL("../../src/client/api_types.ts", import.meta.url);
  assert.equal(await Deno.readTextFile(file), await formattedClientTypes());
});
