/** Requests of `POST /v1/chat/completions`, and their conversion to turn requests. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";
import { LOGPROBS_LIMIT, topLogprobs } from "../generation/logprobs_schema.ts";
import { messageSchema } from "./message_schema.ts";
import { constraintOf, formatFields } from "../generation/response_format.ts";
import { tokenLimit, tokenLimitOf } from "../generation/sampling_schema.ts";
import {
  type CompletionParams,
  completionParams,
  generationFields,
} from "../generation/generation_schema.ts";
import {
  assertSupported,
  documentedFields,
  type UnsupportedFields,
} from "../generation/unsupported_fields.ts";

const isEmpty = z.array(z.unknown()).max(0);
const isNone = z.enum(["none", "auto"]);

/** Known fields that are not supported, with the values that have no effect. */
const UNSUPPORTED = {
  tools: { accepts: isEmpty, message: "tools are not supported" },
  functions: { accepts: isEmpty, message: "functions are not supported" },
  tool_choice: { accepts: isNone, message: "tools are not supported" },
  function_call: { accepts: isNone, message: "functions are not supported" },
  modalities: { accepts: z.array(z.literal("text")), message: 'only ["text"] is supported' },
  audio: { accepts: z.null(), message: "audio is not supported" },
  web_search_options: { accepts: z.null(), message: "web search is not supported" },
} satisfies UnsupportedFields;

export const chatSchema = z.object({
  ...generationFields,
  messages: z.array(messageSchema).nullish().openapi({
    description:
      "The messages: the whole conversation, or only new messages if the request resumes " +
      "a state or conversation. Empty to continue an unfinished reply. If the last message is an " +
      "assistant message, the reply continues it unless `continue_final_message` is `false`.",
    example: [{ role: "user", content: "Hello" }],
  }),
  continue_final_message: z.boolean().nullish().openapi({
    description:
      "Whether the reply continues the last message if that is an assistant message. The " +
      "response contains only the continuation. Not supported with structured output. Default: " +
      "`true`.",
    example: true,
  }),
  add_generation_prompt: z.boolean().nullish().openapi({
    description:
      "`true` is equivalent to `continue_final_message: false`. `false` is supported only if the " +
      "reply continues the last message.",
    example: true,
  }),
  max_completion_tokens: tokenLimit.nullish().openapi({
    description: "Same as `max_tokens`; takes precedence over it.",
    example: 256,
  }),
  logprobs: z.boolean().nullish().openapi({
    description: "Whether to return the log probability of each token of the reply. " +
      LOGPROBS_LIMIT,
    example: true,
  }),
  top_logprobs: topLogprobs.nullish().openapi({
    description: "Number of most probable tokens to return at each position; requires `logprobs`.",
    example: 3,
  }),
  ...formatFields,
  ...documentedFields(UNSUPPORTED),
}, { error: "expected a JSON object" }).openapi("ChatCompletionRequest", {
  example: { model: "default", messages: [{ role: "user", content: "Hello" }], max_tokens: 64 },
});

export type ChatBody = z.infer<typeof chatSchema>;

/**
 * Converts a chat request.
 *
 * @throws InferenceError `unsupported_value` or `invalid_value`, naming the field
 */
export function chatParams(request: ChatBody): CompletionParams {
  assertSupported(request, UNSUPPORTED);
  if ((request.top_logprobs ?? 0) > 0 && !request.logprobs) {
    throw new InferenceError(
      "invalid_value",
      `top_logprobs: ${request.top_logprobs} requires logprobs: true`,
      { param: "top_logprobs" },
    );
  }
  return completionParams(request, {
    messages: request.messages ?? [],
    continueFinalMessage: continuesLast(request),
    constraint: constraintOf(request),
    maxTokens: tokenLimitOf(request.max_completion_tokens) ?? tokenLimitOf(request.max_tokens),
    logprobs: request.logprobs ? request.top_logprobs ?? 0 : undefined,
  });
}

/**
 * Returns whether the reply continues the last message.
 *
 * @throws InferenceError `invalid_value` or `unsupported_value` if the fields contradict each other
 */
function continuesLast(request: ChatBody): boolean {
  const { continue_final_message: continueLast, add_generation_prompt: startNew } = request;
  const last = request.messages?.at(-1);
  if (continueLast && startNew) {
    throw new InferenceError(
      "invalid_value",
      "add_generation_prompt: true contradicts continue_final_message: true; send only one of them",
      { param: "add_generation_prompt" },
    );
  }
  if (continueLast && last !== undefined && last.role !== "assistant") {
    throw new InferenceError(
      "invalid_value",
      `continue_final_message: the last message has role ${last.role}; end messages with the start ` +
        "of the reply, with role assistant",
      { param: "continue_final_message" },
    );
  }
  const continues = last?.role === "assistant" && continueLast !== false && !startNew;
  if (startNew !== false || continues || last === undefined) return continues;
  throw new InferenceError(
    "unsupported_value",
    "add_generation_prompt: false is supported only if the reply continues the last message; end " +
      "messages with role assistant, or use /v1/completions",
    { param: "add_generation_prompt" },
  );
}
