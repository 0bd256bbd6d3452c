/** Requests and responses of `/v1/conversations`. */

import { z } from "@hono/zod-openapi";
import { conversationId, epochSeconds, EXAMPLE_STATE, stateId } from "../openapi/ids_schema.ts";
import { inputItem } from "../responses/input_items.ts";
import { documentedFields, type UnsupportedFields } from "../generation/unsupported_fields.ts";

/** OpenAI's limits. */
export const metadata = z.record(z.string().max(64), z.string().max(512)).refine(
  (value) => Object.keys(value).length <= 16,
  { error: "expected at most 16 entries" },
).openapi({
  description: "At most 16 entries, with keys of up to 64 and values of up to 512 characters.",
  example: { topic: "tea" },
  maxProperties: 16,
});

/** Fields that can be set only when a conversation is created. */
export const CREATE_ONLY_FIELDS = {
  items: {
    accepts: z.array(z.unknown()).max(0),
    message:
      "only a new conversation accepts items; add messages with POST /v1/conversations/{id}/items",
  },
} satisfies UnsupportedFields;

export const conversationChangeSchema = z.object({
  metadata: metadata.nullish(),
  state_id: stateId.nullish().openapi({
    description: "The state from which the conversation continues.",
  }),
  ...documentedFields(CREATE_ONLY_FIELDS),
}, { error: "expected a JSON object" }).openapi("ConversationChange", {
  example: { metadata: { topic: "tea" } },
});

/** OpenAI's limit. */
const MAX_ITEMS = 20;

const items = z.array(inputItem, { error: "expected a list of messages" }).max(MAX_ITEMS);

export const newConversationSchema = z.object({
  ...conversationChangeSchema.shape,
  items: items.nullish().openapi({
    description:
      `At most ${MAX_ITEMS} messages, which the first turn processes after the given state.`,
    example: [{ type: "message", role: "user", content: "Hello" }],
  }),
}, { error: "expected a JSON object" }).openapi("NewConversation", {
  example: { metadata: { topic: "tea" } },
});

export const newItemsSchema = z.object({
  items: items.min(1).openapi({
    description: `At most ${MAX_ITEMS} messages, which the next turn processes.`,
    example: [{ type: "message", role: "user", content: "Hello" }],
  }),
}, { error: "expected a JSON object" }).openapi("NewConversationItems", {
  example: { items: [{ type: "message", role: "user", content: "Hello" }] },
});

export const conversationSchema = z.object({
  id: conversationId,
  object: z.literal("conversation").openapi({
    description: "The object type.",
    example: "conversation",
  }),
  created_at: epochSeconds.openapi({ description: "Creation time in epoch seconds." }),
  metadata: z.record(z.string(), z.string()).readonly().openapi({
    description: "The metadata set by the client.",
    example: { topic: "tea" },
  }),
  state_id: z.string().nullable().openapi({
    description: "The current state; null before the first turn or message.",
    example: EXAMPLE_STATE,
  }),
}).openapi("Conversation");

export const deletedConversationSchema = z.object({
  id: conversationId,
  object: z.literal("conversation.deleted").openapi({
    description: "The object type.",
    example: "conversation.deleted",
  }),
  deleted: z.literal(true).openapi({ description: "Always true.", example: true }),
}).openapi("DeletedConversation");

export type ConversationChange = z.infer<typeof conversationChangeSchema>;
export type NewConversationBody = z.infer<typeof newConversationSchema>;
export type ConversationObject = z.infer<typeof conversationSchema>;
