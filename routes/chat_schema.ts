/** What `POST /v1/chat/completions` takes, and what it becomes for a session. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../src/core/errors.ts";
import { LOGPROBS_BOUND, topLogprobs } from "./logprobs_schema.ts";
import { messageSchema } from "./message_schema.ts";
import { constraintOf, formatFields } from "./response_format.ts";
import { turnFields, type WriteRequest, writeRequest } from "./turn_schema.ts";
import { assertSupported, documented, type UnsupportedFields } from "./unsupported.ts";

const isEmpty = z.array(z.unknown()).max(0);
const isNone = z.enum(["none", "auto"]);

/** Fields that are understood and cannot be served, with the values that ask for nothing. */
const UNSUPPORTED = {
  tools: { takes: isEmpty, message: "tools are not supported" },
  functions: { takes: isEmpty, message: "functions are not supported" },
  tool_choice: { takes: isNone, message: "tools are not supported" },
  function_call: { takes: isNone, message: "functions are not supported" },
  modalities: { takes: z.array(z.literal("text")), message: 'only ["text"] is supported' },
  audio: { takes: z.null(), message: "audio is not supported" },
} satisfies UnsupportedFields;

export const chatSchema = z.object({
  ...turnFields,
  messages: z.array(messageSchema).nullish().openapi({
    description: "The conversation; what is new of it, where a state or a conversation goes on; " +
      "empty to let an open reply go on.",
    example: [{ role: "user", content: "Hello" }],
  }),
  max_completion_tokens: z.int().min(1).nullish().openapi({
    description: "The same as `max_tokens`, and goes before it.",
    example: 256,
  }),
  logprobs: z.boolean().nullish().openapi({
    description: "Whether it is told how probable each token of the reply was. " + LOGPROBS_BOUND,
    example: true,
  }),
  top_logprobs: topLogprobs.nullish().openapi({
    description: "How many most probable tokens are told with each one; needs `logprobs`.",
    example: 3,
  }),
  ...formatFields,
  ...documented(UNSUPPORTED),
}, { error: "expected a JSON object" }).openapi("ChatCompletionRequest", {
  example: { model: "default", messages: [{ role: "user", content: "Hello" }], max_tokens: 64 },
});

export type ChatBody = z.infer<typeof chatSchema>;

/** @throws InferenceError `unsupported_value` or `invalid_value`, naming the field */
export function chatRequest(request: ChatBody): WriteRequest {
  assertSupported(request, UNSUPPORTED);
  if ((request.top_logprobs ?? 0) > 0 && !request.logprobs) {
    throw new InferenceError(
      "invalid_value",
      `top_logprobs: ${request.top_logprobs} are asked for and logprobs is not true`,
      { param: "top_logprobs" },
    );
  }
  return writeRequest(request, {
    messages: request.messages ?? [],
    constraint: constraintOf(request),
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? undefined,
    logprobs: request.logprobs ? request.top_logprobs ?? 0 : undefined,
  });
}
