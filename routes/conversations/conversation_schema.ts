/** What `/v1/conversations` takes and answers. */

import { z } from "@hono/zod-openapi";
import { conversationId, epochSeconds, EXAMPLE_STATE, stateId } from "../openapi/ids_schema.ts";
import { inputItem } from "../responses/input_items.ts";
import { documentedFields, type UnsupportedFields } from "../generation/unsupported_fields.ts";

/** OpenAI's bounds. */
export const metadata = z.record(z.string().max(64), z.string().max(512)).refine(
  (value) => Object.keys(value).length <= 16,
  { error: "expected at most 16 entries" },
).openapi({
  description: "Strings of up to 512 characters, by names of up to 64; 16 of them at most.",
  example: { topic: "tea" },
  maxProperties: 16,
});

/** Fields of a change that only a new conversation has. */
export const UNCHANGEABLE = {
  items: {
    takes: z.array(z.unknown()).max(0),
    message: "messages are added by POST /v1/conversations/{id}/items",
  },
} satisfies UnsupportedFields;

export const conversationChangeSchema = z.object({
  metadata: metadata.nullish(),
  state_id: stateId.nullish().openapi({
    description: "The state that the conversation is to go on from.",
  }),
  ...documentedFields(UNCHANGEABLE),
}, { error: "expected a JSON object" }).openapi("ConversationChange", {
  example: { metadata: { topic: "tea" } },
});

/** OpenAI's bound. */
const MAX_ITEMS = 20;

const items = z.array(inputItem, { error: "expected a list of messages" }).max(MAX_ITEMS);

export const newConversationSchema = z.object({
  ...conversationChangeSchema.shape,
  items: items.nullish().openapi({
    description:
      `Messages that the first turn reads, ${MAX_ITEMS} at most: behind the state, where ` +
      "one is given.",
    example: [{ type: "message", role: "user", content: "Hello" }],
  }),
}, { error: "expected a JSON object" }).openapi("NewConversation", {
  example: { metadata: { topic: "tea" } },
});

export const newItemsSchema = z.object({
  items: items.min(1).openapi({
    description: `Messages that the next turn reads, ${MAX_ITEMS} at most.`,
    example: [{ type: "message", role: "user", content: "Hello" }],
  }),
}, { error: "expected a JSON object" }).openapi("NewConversationItems", {
  example: { items: [{ type: "message", role: "user", content: "Hello" }] },
});

export const conversationSchema = z.object({
  id: conversationId,
  object: z.literal("conversation").openapi({
    description: "What this is.",
    example: "conversation",
  }),
  created_at: epochSeconds.openapi({ description: "When it began, in epoch seconds." }),
  metadata: z.record(z.string(), z.string()).readonly().openapi({
    description: "As it was given.",
    example: { topic: "tea" },
  }),
  state_id: z.string().nullable().openapi({
    description: "The state that it has come to; null before the first turn or message.",
    example: EXAMPLE_STATE,
  }),
}).openapi("Conversation");

export const deletedConversationSchema = z.object({
  id: conversationId,
  object: z.literal("conversation.deleted").openapi({
    description: "What this is.",
    example: "conversation.deleted",
  }),
  deleted: z.literal(true).openapi({ description: "It is gone.", example: true }),
}).openapi("DeletedConversation");

export type ConversationChange = z.infer<typeof conversationChangeSchema>;
export type NewConversationBody = z.infer<typeof newConversationSchema>;
export type ConversationObject = z.infer<typeof conversationSchema>;
