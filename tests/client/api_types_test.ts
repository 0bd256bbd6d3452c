/** The client's types are those that the routes' schemas make. */

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

/** What a client may send is what the schema takes. */
type Sent<Own extends z.input<Schema>, Schema extends z.ZodType> = [Own, Schema];
/** What a worker answers is what the client says it gets. */
type Answered<Own, Schema extends z.ZodType<Own>> = [Own, Schema];

/** Does not compile where the file and the schemas differ. */
export type Checked = [
  Sent<api.ChatCompletionRequest, typeof chatSchema>,
  Sent<api.CompletionRequest, typeof completionRequestSchema>,
  Sent<api.ConversationChange, typeof conversationChangeSchema>,
  Answered<api.ChatCompletion, typeof completionSchema>,
  Answered<api.ChatCompletionChunk, typeof chunkSchema>,
  Answered<api.TextCompletion, typeof textCompletionSchema>,
  Answered<api.Conversation, typeof conversationSchema>,
  Answered<api.Health, typeof healthSchema>,
  Answered<api.Model, typeof modelSchema>,
  // The schema has its list read-only, for the worker.
  Answered<Omit<api.State, "transcript">, typeof stateSchema>,
];

Deno.test("client: its types are as the schemas have them; deno task client:types writes them", async () => {
  const file = new URL("../../src/client/api_types.ts", import.meta.url);
  assert.equal(await Deno.readTextFile(file), await formattedClientTypes());
});
