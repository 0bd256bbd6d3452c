/** Items: messages in responses and lists of the Responses and Conversations APIs. */

import { z } from "@hono/zod-openapi";
import { tokenLogprobsSchema } from "../generation/logprobs_schema.ts";

const HEX = "0123456789abcdef".repeat(3);

export const EXAMPLE_MESSAGE = `msg_${HEX}`;

const messageId = z.string().openapi({
  description: "Id of the message.",
  example: EXAMPLE_MESSAGE,
});
const type = z.literal("message").openapi({ description: "The object type.", example: "message" });
const text = z.string().openapi({ description: "The text.", example: "Hi there." });

export const itemStatus = z.enum(["in_progress", "completed", "incomplete"]).openapi({
  description: "`incomplete`: the reply was truncated.",
  example: "completed",
});

export const outputTextSchema = z.object({
  type: z.literal("output_text").openapi({
    description: "The content type.",
    example: "output_text",
  }),
  text,
  annotations: z.array(z.unknown()).max(0).openapi({
    description: "Always empty.",
    example: [],
  }),
  logprobs: tokenLogprobsSchema.openapi({
    description: "Log probabilities of the tokens, if requested; else empty.",
    example: [],
  }),
}).openapi("OutputText", { description: "Generated text." });

export const outputMessageSchema = z.object({
  id: messageId,
  type,
  status: itemStatus,
  role: z.literal("assistant").openapi({
    description: "Role of the author.",
    example: "assistant",
  }),
  content: z.array(outputTextSchema).openapi({ description: "A list with one text part." }),
}).openapi("OutputMessage", { description: "A reply." });

export const inputMessageSchema = z.object({
  id: messageId,
  type,
  status: itemStatus,
  role: z.enum(["system", "developer", "user"]).openapi({
    description: "Role of the author.",
    example: "user",
  }),
  content: z.array(
    z.object({
      type: z.literal("input_text").openapi({
        description: "The content type.",
        example: "input_text",
      }),
      text,
    }).openapi("InputText"),
  ).openapi({ description: "A list with one text part." }),
}).openapi("InputMessage", { description: "A message of the prompt." });

export const itemSchema = z.union([inputMessageSchema, outputMessageSchema]).openapi("Item", {
  description: "A message.",
});

export const itemListSchema = z.object({
  object: z.literal("list").openapi({ description: "The object type.", example: "list" }),
  data: z.array(itemSchema).openapi({ description: "The items of this page." }),
  first_id: z.string().nullable().openapi({
    description: "Id of the first item; null if the page is empty.",
    example: EXAMPLE_MESSAGE,
  }),
  last_id: z.string().nullable().openapi({
    description: "Id of the last item: the `after` of the next page.",
    example: EXAMPLE_MESSAGE,
  }),
  has_more: z.boolean().openapi({ description: "Whether there are more items.", example: false }),
}).openapi("ItemList");

export const itemListQuery = z.object({
  after: z.string().optional().openapi({
    param: { name: "after", in: "query" },
    description: "Id of the item after which the page starts.",
    example: EXAMPLE_MESSAGE,
  }),
  limit: z.coerce.number().int().min(1).max(100).optional().openapi({
    param: { name: "limit", in: "query" },
    description: "Maximum number of items. Default: 20.",
    example: 20,
  }),
  order: z.enum(["asc", "desc"]).optional().openapi({
    param: { name: "order", in: "query" },
    description: "Order of the items. Default: `desc`, the newest first.",
    example: "asc",
  }),
});

export type Item = z.infer<typeof itemSchema>;
export type ItemList = z.infer<typeof itemListSchema>;
export type ItemStatus = z.infer<typeof itemStatus>;
export type OutputMessage = z.infer<typeof outputMessageSchema>;
export type ItemListQuery = z.infer<typeof itemListQuery>;
