/** Items: messages as responses and conversations list them. */

import { z } from "@hono/zod-openapi";
import { tokenLogprobsSchema } from "../generation/logprobs_schema.ts";

const HEX = "0123456789abcdef".repeat(3);

export const EXAMPLE_MESSAGE = `msg_${HEX}`;

const messageId = z.string().openapi({
  description: "Names the message.",
  example: EXAMPLE_MESSAGE,
});
const type = z.literal("message").openapi({ description: "What this is.", example: "message" });
const text = z.string().openapi({ description: "The text.", example: "Hi there." });

export const itemStatus = z.enum(["in_progress", "completed", "incomplete"]).openapi({
  description: "`incomplete`: the reply was cut short.",
  example: "completed",
});

export const outputTextSchema = z.object({
  type: z.literal("output_text").openapi({ description: "Only text.", example: "output_text" }),
  text,
  annotations: z.array(z.unknown()).max(0).openapi({
    description: "Always empty.",
    example: [],
  }),
  logprobs: tokenLogprobsSchema.openapi({
    description: "Of its tokens, in the answer to a request that asks for them; else empty.",
    example: [],
  }),
}).openapi("OutputText", { description: "A text that the model wrote." });

export const outputMessageSchema = z.object({
  id: messageId,
  type,
  status: itemStatus,
  role: z.literal("assistant").openapi({ description: "Who speaks.", example: "assistant" }),
  content: z.array(outputTextSchema).openapi({ description: "One text." }),
}).openapi("OutputMessage", { description: "A reply." });

export const inputMessageSchema = z.object({
  id: messageId,
  type,
  status: itemStatus,
  role: z.enum(["system", "developer", "user"]).openapi({
    description: "Who speaks.",
    example: "user",
  }),
  content: z.array(
    z.object({
      type: z.literal("input_text").openapi({ description: "Only text.", example: "input_text" }),
      text,
    }).openapi("InputText"),
  ).openapi({ description: "One text." }),
}).openapi("InputMessage", { description: "A message that was read." });

export const itemSchema = z.union([inputMessageSchema, outputMessageSchema]).openapi("Item", {
  description: "A message.",
});

export const itemListSchema = z.object({
  object: z.literal("list").openapi({ description: "What this is.", example: "list" }),
  data: z.array(itemSchema).openapi({ description: "The items of this page." }),
  first_id: z.string().nullable().openapi({
    description: "Of the first item here; null where there is none.",
    example: EXAMPLE_MESSAGE,
  }),
  last_id: z.string().nullable().openapi({
    description: "Of the last item here, to be given as `after` for the next page.",
    example: EXAMPLE_MESSAGE,
  }),
  has_more: z.boolean().openapi({ description: "Whether there are more.", example: false }),
}).openapi("ItemList");

export const itemListQuery = z.object({
  after: z.string().optional().openapi({
    param: { name: "after", in: "query" },
    description: "The item after which the page begins.",
    example: EXAMPLE_MESSAGE,
  }),
  limit: z.coerce.number().int().min(1).max(100).optional().openapi({
    param: { name: "limit", in: "query" },
    description: "Items at most; 20 unless given.",
    example: 20,
  }),
  order: z.enum(["asc", "desc"]).optional().openapi({
    param: { name: "order", in: "query" },
    description: "`desc`, the latest first, unless given.",
    example: "asc",
  }),
});

export type Item = z.infer<typeof itemSchema>;
export type ItemList = z.infer<typeof itemListSchema>;
export type ItemStatus = z.infer<typeof itemStatus>;
export type OutputMessage = z.infer<typeof outputMessageSchema>;
export type ItemListQuery = z.infer<typeof itemListQuery>;
