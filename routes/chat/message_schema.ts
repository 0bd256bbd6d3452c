/** Messages in requests and in stored transcripts. */

import { z } from "@hono/zod-openapi";

const textPart = z.object({
  type: z.literal("text", { error: "only parts of type text are supported" }).openapi({
    description: "Only text is supported.",
    example: "text",
  }),
  text: z.string().openapi({ description: "The text.", example: "Hello" }),
}).openapi("TextPart");

const content = z.union([z.string(), z.array(textPart)], {
  error: "expected a string or a list of text parts",
}).openapi({
  description: "A string, or a list of text parts, which are joined with newlines.",
  example: "Hello",
});

const promptMessage = z.object({
  role: z.enum(["system", "developer", "user"]).openapi({
    description: "Role of the author. `developer` is equivalent to `system`.",
    example: "user",
  }),
  content,
}).openapi("PromptMessage");

const replyMessage = z.object({
  role: z.literal("assistant").openapi({
    description: "A reply of the model.",
    example: "assistant",
  }),
  content: content.nullish().transform((value) => value ?? ""),
}).openapi("ReplyMessage");

export const messageSchema = z.discriminatedUnion("role", [promptMessage, replyMessage], {
  // Only an unknown role gets this message; other issues have their own.
  error: ({ code }) =>
    code === "invalid_union" ? "expected system, developer, user or assistant" : undefined,
}).openapi("Message", { example: { role: "user", content: "Hello" } });

/** A message of a stored transcript. */
export const transcriptEntrySchema = z.object({
  role: z.enum(["system", "developer", "user", "assistant"]).openapi({
    description: "Role of the author.",
    example: "user",
  }),
  content: z.string().openapi({ description: "Text of the message.", example: "Hello" }),
}).openapi("TranscriptEntry");
