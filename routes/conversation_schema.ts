/** What `/v1/conversations` takes and answers. */

import { z } from "@hono/zod-openapi";
import { conversationId, epochSeconds, EXAMPLE_STATE, stateId } from "./ids_schema.ts";

/** OpenAI's bounds. */
export const metadata = z.record(z.string().max(64), z.string().max(512)).refine(
  (value) => Object.keys(value).length <= 16,
  { error: "expected at most 16 entries" },
).openapi({
  description: "Strings of up to 512 characters, by names of up to 64; 16 of them at most.",
  example: { topic: "tea" },
  maxProperties: 16,
});

export const conversationChangeSchema = z.object({
  metadata: metadata.nullish(),
  state_id: stateId.nullish().openapi({
    description: "The state that the conversation is to go on from.",
  }),
}, { error: "expected a JSON object" }).openapi("ConversationChange", {
  example: { metadata: { topic: "tea" } },
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
    description: "The state that it has come to; null before the first turn.",
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
export type ConversationObject = z.infer<typeof conversationSchema>;
