/** Responses of `/v1/responses`. */

import { z } from "@hono/zod-openapi";
import { metadata } from "../conversations/conversation_schema.ts";
import {
  epochSeconds,
  EXAMPLE_CONVERSATION,
  EXAMPLE_STATE,
  modelId,
} from "../openapi/ids_schema.ts";
import { outputMessageSchema } from "./item_schema.ts";
import { topLogprobs } from "../generation/logprobs_schema.ts";
import { textFormat } from "../generation/response_format.ts";

const HEX = "0123456789abcdef".repeat(3);

export const EXAMPLE_RESPONSE = `resp_${HEX}`;

export const responseId = z.string().openapi({
  description: "Id of a response.",
  example: EXAMPLE_RESPONSE,
});

const count = (description: string, example: number) =>
  z.int().min(0).openapi({ description, example });

const usageSchema = z.object({
  input_tokens: count(
    "All prompt tokens, including those already processed by the resumed state.",
    42,
  ),
  input_tokens_details: z.object({
    cached_tokens: count("Prompt tokens that were not reprocessed.", 32),
  }).openapi({ description: "Details of the input tokens." }),
  output_tokens: count("Generated tokens.", 7),
  output_tokens_details: z.object({
    reasoning_tokens: z.literal(0).openapi({ description: "Always 0.", example: 0 }),
  }).openapi({ description: "Details of the output tokens." }),
  total_tokens: count("The sum of both.", 49),
}).openapi("ResponseUsage", { description: "Token counts." });

export const responseSchema = z.object({
  id: responseId.openapi({
    description: "`resp_` and the digits of the response's state id.",
  }),
  object: z.literal("response").openapi({ description: "The object type.", example: "response" }),
  created_at: epochSeconds.openapi({ description: "Creation time in epoch seconds." }),
  status: z.enum(["in_progress", "completed", "incomplete", "failed"]).openapi({
    description: "`incomplete`: the reply was truncated. To continue it, create a response " +
      "with this id as `previous_response_id` and without `input`.",
    example: "completed",
  }),
  background: z.literal(false).openapi({ description: "Always false.", example: false }),
  error: z.object({
    code: z.literal("server_error").openapi({
      description: "Always `server_error`.",
      example: "server_error",
    }),
    message: z.string().openapi({ description: "What went wrong.", example: "The GPU was lost" }),
  }).nullable().openapi({ description: "Why the response failed.", example: null }),
  incomplete_details: z.object({
    reason: z.literal("max_output_tokens").openapi({
      description: "Always `max_output_tokens`, regardless of the cause.",
      example: "max_output_tokens",
    }),
  }).nullable().openapi({ description: "Why the reply was truncated.", example: null }),
  instructions: z.string().nullable().openapi({
    description: "The instructions of the request.",
    example: "Answer briefly.",
  }),
  max_output_tokens: z.int().nullable().openapi({
    description: "The value of the request.",
    example: 256,
  }),
  model: modelId.openapi({ description: "The model that generated the reply." }),
  output: z.array(outputMessageSchema).openapi({
    description: "The reply: a list with one message.",
  }),
  parallel_tool_calls: z.boolean().openapi({
    description: "The value of the request.",
    example: true,
  }),
  previous_response_id: z.string().nullable().openapi({
    description: "The response that this one continues.",
    example: null,
  }),
  conversation: z.object({
    id: z.string().openapi({
      description: "Id of the conversation.",
      example: EXAMPLE_CONVERSATION,
    }),
  }).nullable().openapi({
    description: "The conversation that the response belongs to.",
    example: null,
  }),
  reasoning: z.object({
    effort: z.null().openapi({ description: "Always null.", example: null }),
    summary: z.null().openapi({ description: "Always null.", example: null }),
  }).openapi({ description: "Reasoning is not supported." }),
  store: z.boolean().openapi({ description: "Whether the response was stored.", example: true }),
  temperature: z.number().openapi({
    description: "The value of the request. Default: 1.",
    example: 1,
  }),
  text: z.object({
    format: textFormat.openapi({
      description: "The value of the request.",
      example: { type: "text" },
    }),
  }).openapi({ description: "Options for the text of the reply." }),
  tool_choice: z.enum(["none", "auto"]).openapi({
    description: "The value of the request.",
    example: "auto",
  }),
  tools: z.array(z.unknown()).max(0).openapi({ description: "Always empty.", example: [] }),
  top_logprobs: topLogprobs.openapi({
    description: "The value of the request. Default: 0.",
    example: 0,
  }),
  top_p: z.number().openapi({ description: "The value of the request. Default: 1.", example: 1 }),
  truncation: z.enum(["auto", "disabled"]).openapi({
    description:
      "The value of the request. It has no effect, because a recurrent state has no context limit.",
    example: "disabled",
  }),
  usage: usageSchema.nullable().openapi({
    description: "Token counts; null until the response has ended.",
    example: null,
  }),
  user: z.string().nullable().openapi({
    description: "The value of the request.",
    example: "user_1",
  }),
  metadata,
  state_id: z.string().nullable().openapi({
    description: "The state after the reply; null if it was not stored.",
    example: EXAMPLE_STATE,
  }),
  warning: z.string().optional().openapi({
    description: "Why the response could not be stored.",
    example: "Cannot store the reply: the store is unreachable",
  }),
}).openapi("Response", { description: "A response in OpenAI's format." });

export const deletedResponseSchema = z.object({
  id: responseId,
  object: z.literal("response").openapi({ description: "The object type.", example: "response" }),
  deleted: z.literal(true).openapi({ description: "Always true.", example: true }),
}).openapi("DeletedResponse");

export type ResponseObject = z.infer<typeof responseSchema>;
export type ResponseUsage = z.infer<typeof usageSchema>;
