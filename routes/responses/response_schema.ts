/** What `/v1/responses` answers. */

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
  description: "Names a response.",
  example: EXAMPLE_RESPONSE,
});

const count = (description: string, example: number) =>
  z.int().min(0).openapi({ description, example });

const usageSchema = z.object({
  input_tokens: count("All that was read, what the state had absorbed before included.", 42),
  input_tokens_details: z.object({
    cached_tokens: count("Tokens that did not have to be read again.", 32),
  }).openapi({ description: "Of the input." }),
  output_tokens: count("Written.", 7),
  output_tokens_details: z.object({
    reasoning_tokens: z.literal(0).openapi({ description: "Always 0.", example: 0 }),
  }).openapi({ description: "Of the output." }),
  total_tokens: count("The sum of both.", 49),
}).openapi("ResponseUsage", { description: "Tokens read and written." });

export const responseSchema = z.object({
  id: responseId.openapi({
    description: "`resp_` and the digits of the state that it leads to.",
  }),
  object: z.literal("response").openapi({ description: "What this is.", example: "response" }),
  created_at: epochSeconds.openapi({ description: "When it began, in epoch seconds." }),
  status: z.enum(["in_progress", "completed", "incomplete", "failed"]).openapi({
    description: "`incomplete`: the reply was cut short, and goes on in a response after it that " +
      "has no `input`.",
    example: "completed",
  }),
  background: z.literal(false).openapi({ description: "Always false.", example: false }),
  error: z.object({
    code: z.literal("server_error").openapi({
      description: "Always the same.",
      example: "server_error",
    }),
    message: z.string().openapi({ description: "What went wrong.", example: "The GPU is gone" }),
  }).nullable().openapi({ description: "Why it failed.", example: null }),
  incomplete_details: z.object({
    reason: z.literal("max_output_tokens").openapi({
      description: "Whatever cut it short.",
      example: "max_output_tokens",
    }),
  }).nullable().openapi({ description: "Of a reply that was cut short.", example: null }),
  instructions: z.string().nullable().openapi({
    description: "As they were given.",
    example: "Answer briefly.",
  }),
  max_output_tokens: z.int().nullable().openapi({ description: "As given.", example: 256 }),
  model: modelId.openapi({ description: "The model that wrote." }),
  output: z.array(outputMessageSchema).openapi({ description: "The reply, one message." }),
  parallel_tool_calls: z.boolean().openapi({ description: "As given.", example: true }),
  previous_response_id: z.string().nullable().openapi({
    description: "The response that it goes on from.",
    example: null,
  }),
  conversation: z.object({
    id: z.string().openapi({ description: "Its id.", example: EXAMPLE_CONVERSATION }),
  }).nullable().openapi({ description: "The conversation that it moves on.", example: null }),
  reasoning: z.object({
    effort: z.null().openapi({ description: "Always null.", example: null }),
    summary: z.null().openapi({ description: "Always null.", example: null }),
  }).openapi({ description: "There is none." }),
  store: z.boolean().openapi({ description: "Whether it can be retrieved.", example: true }),
  temperature: z.number().openapi({ description: "As given, or 1.", example: 1 }),
  text: z.object({
    format: textFormat.openapi({ description: "As given.", example: { type: "text" } }),
  }).openapi({ description: "Of the reply." }),
  tool_choice: z.enum(["none", "auto"]).openapi({ description: "As given.", example: "auto" }),
  tools: z.array(z.unknown()).max(0).openapi({ description: "Always empty.", example: [] }),
  top_logprobs: topLogprobs.openapi({ description: "As given, or 0.", example: 0 }),
  top_p: z.number().openapi({ description: "As given, or 1.", example: 1 }),
  truncation: z.enum(["auto", "disabled"]).openapi({
    description: "As given; a recurrent state never has to drop anything.",
    example: "disabled",
  }),
  usage: usageSchema.nullable().openapi({
    description: "Null until it has ended.",
    example: null,
  }),
  user: z.string().nullable().openapi({ description: "As given.", example: "user_1" }),
  metadata,
  state_id: z.string().nullable().openapi({
    description: "The state after the reply; null where there is none.",
    example: EXAMPLE_STATE,
  }),
  warning: z.string().optional().openapi({
    description: "Why it could not be stored.",
    example: "The reply is not stored: the store can't be reached",
  }),
}).openapi("Response", { description: "A response, as OpenAI has it." });

export const deletedResponseSchema = z.object({
  id: responseId,
  object: z.literal("response").openapi({ description: "What this is.", example: "response" }),
  deleted: z.literal(true).openapi({ description: "It is gone.", example: true }),
}).openapi("DeletedResponse");

export type ResponseObject = z.infer<typeof responseSchema>;
export type ResponseUsage = z.infer<typeof usageSchema>;
