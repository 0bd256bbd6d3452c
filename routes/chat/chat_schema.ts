/** What `POST /v1/chat/completions` takes, and what it becomes for a session. */

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

/** Fields that are understood and cannot be served, with the values that ask for nothing. */
const UNSUPPORTED = {
  tools: { takes: isEmpty, message: "tools are not supported" },
  functions: { takes: isEmpty, message: "functions are not supported" },
  tool_choice: { takes: isNone, message: "tools are not supported" },
  function_call: { takes: isNone, message: "functions are not supported" },
  modalities: { takes: z.array(z.literal("text")), message: 'only ["text"] is supported' },
  audio: { takes: z.null(), message: "audio is not supported" },
  web_search_options: { takes: z.null(), message: "web search is not supported" },
} satisfies UnsupportedFields;

export const chatSchema = z.object({
  ...generationFields,
  messages: z.array(messageSchema).nullish().openapi({
    description: "The conversation; what is new of it, where a state or a conversation goes on; " +
      "empty to let an open reply go on. A last message of the assistant is the beginning of the " +
      "reply, which continues it, unless `continue_final_message` is `false`.",
    example: [{ role: "user", content: "Hello" }],
  }),
  continue_final_message: z.boolean().nullish().openapi({
    description: "Whether the reply continues the last message, which is the assistant's: the " +
      "answer has only what follows. It does so unless this is `false`. Not with a form.",
    example: true,
  }),
  add_generation_prompt: z.boolean().nullish().openapi({
    description:
      "`true`: as `continue_final_message` `false`. `false` only where the last message " +
      "is continued.",
    example: true,
  }),
  max_completion_tokens: tokenLimit.nullish().openapi({
    description: "The same as `max_tokens`, and goes before it.",
    example: 256,
  }),
  logprobs: z.boolean().nullish().openapi({
    description: "Whether it is told how probable each token of the reply was. " + LOGPROBS_LIMIT,
    example: true,
  }),
  top_logprobs: topLogprobs.nullish().openapi({
    description: "How many most probable tokens are told with each one; needs `logprobs`.",
    example: 3,
  }),
  ...formatFields,
  ...documentedFields(UNSUPPORTED),
}, { error: "expected a JSON object" }).openapi("ChatCompletionRequest", {
  example: { model: "default", messages: [{ role: "user", content: "Hello" }], max_tokens: 64 },
});

export type ChatBody = z.infer<typeof chatSchema>;

/** @throws InferenceError `unsupported_value` or `invalid_value`, naming the field */
export function chatParams(request: ChatBody): CompletionParams {
  assertSupported(request, UNSUPPORTED);
  if ((request.top_logprobs ?? 0) > 0 && !request.logprobs) {
    throw new InferenceError(
      "invalid_value",
      `top_logprobs: ${request.top_logprobs} are asked for and logprobs is not true`,
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
 * Whether the reply continues the last message.
 *
 * @throws InferenceError `invalid_value` or `unsupported_value` where the request contradicts itself
 */
function continuesLast(request: ChatBody): boolean {
  const { continue_final_message: wanted, add_generation_prompt: begun } = request;
  const last = request.messages?.at(-1);
  if (wanted && begun) {
    throw new InferenceError(
      "invalid_value",
      "add_generation_prompt: true begins a reply, and continue_final_message: true continues " +
        "one; send one of the two",
      { param: "add_generation_prompt" },
    );
  }
  if (wanted && last !== undefined && last.role !== "assistant") {
    throw new InferenceError(
      "invalid_value",
      `continue_final_message: the last message is of role ${last.role}; end messages with the ` +
        "beginning of the reply, of role assistant",
      { param: "continue_final_message" },
    );
  }
  const continues = last?.role === "assistant" && wanted !== false && !begun;
  if (begun !== false || continues || last === undefined) return continues;
  throw new InferenceError(
    "unsupported_value",
    "add_generation_prompt: false is supported only where the reply continues the last message; " +
      "end messages with one of role assistant, or use /v1/completions",
    { param: "add_generation_prompt" },
  );
}
