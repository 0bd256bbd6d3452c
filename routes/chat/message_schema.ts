/** Messages, as clients send them and as states keep them. */

import { z } from "@hono/zod-openapi";

const textPart = z.object({
  type: z.literal("text", { error: "only parts of type text are supported" }).openapi({
    description: "Only text is read.",
    example: "text",
  }),
  text: z.string().openapi({ description: "The text.", example: "Hello" }),
}).openapi("TextPart");

const content = z.union([z.string(), z.array(textPart)], {
  error: "expected a string or a list of text parts",
}).openapi({ description: "A text, or its parts, a line each.", example: "Hello" });

const readMessage = z.object({
  role: z.enum(["system", "developer", "user"]).openapi({
    description: "Who speaks; `developer` is the same as `system`.",
    example: "user",
  }),
  content,
}).openapi("PromptMessage");

const replyMessage = z.object({
  role: z.literal("assistant").openapi({ description: "A reply.", example: "assistant" }),
  content: content.nullish().transform((value) => value ?? ""),
}).openapi("ReplyMessage");

export const messageSchema = z.discriminatedUnion("role", [readMessage, replyMessage], {
  // An unknown role is told as such; anything else that is wrong, as it is.
  error: ({ code }) =>
    code === "invalid_union" ? "expected system, developer, user or assistant" : undefined,
}).openapi("Message", { example: { role: "user", content: "Hello" } });

/** A message as a conversation keeps it. */
export const transcriptEntrySchema = z.object({
  role: z.enum(["system", "developer", "user", "assistant"]).openapi({
    description: "Who spoke.",
    example: "user",
  }),
  content: z.string().openapi({ description: "What was said.", example: "Hello" }),
}).openapi("TranscriptEntry");
