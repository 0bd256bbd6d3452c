/** Requests and responses of `POST /v1/completions`. */

import { z } from "@hono/zod-openapi";
import {
  commonFields,
  finishReason,
  stateFields,
  usageSchema,
} from "../chat/chat_response_schema.ts";
import { errorEventSchema } from "../openapi/error_schema.ts";
import { LOGPROBS_LIMIT, textLogprobsSchema } from "../generation/logprobs_schema.ts";
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

const message = "structured output is supported only in chat completions";

/** Known fields that are not supported, with the values that have no effect. */
const UNSUPPORTED = {
  echo: { accepts: z.literal(false), message: "echoing the prompt is not supported" },
  suffix: { accepts: z.literal(""), message: "infilling is not supported" },
  response_format: {
    accepts: z.looseObject({
      type: z.literal("text").meta({ description: "Any text.", example: "text" }),
    }),
    message,
  },
  guided_regex: { accepts: z.literal(""), message },
  guided_choice: { accepts: z.array(z.unknown()).max(0), message },
  guided_grammar: { accepts: z.literal(""), message },
} satisfies UnsupportedFields;

const prompt = z.union([z.string(), z.tuple([z.string()]).transform(([text]) => text)], {
  error: "expected one text, as a string or in a list",
});

export const completionRequestSchema = z.object({
  ...generationFields,
  prompt: prompt.nullish().openapi({
    description: "The text to continue, without a chat template. The completion ends at `stop`, " +
      "`max_tokens` or the end-of-text token. Omit it to continue an unfinished completion.",
    example: "Once upon a time",
  }),
  logprobs: z.union([z.int().min(0).max(20), z.literal(false)], {
    error: "expected an integer from 0 to 20, or false",
  }).nullish().openapi({
    description: "Number of most probable tokens to return at each position, with the log " +
      "probability of each generated token; `false` or null for none. " + LOGPROBS_LIMIT,
    example: 2,
  }),
  ...documentedFields(UNSUPPORTED),
}, { error: "expected a JSON object" }).openapi("CompletionRequest", {
  example: { model: "default", prompt: "Once upon a time", max_tokens: 64 },
});

/**
 * Converts a completion request.
 *
 * @throws InferenceError `unsupported_value`, naming the field
 */
export function textCompletionParams(
  request: z.infer<typeof completionRequestSchema>,
): CompletionParams {
  assertSupported(request, UNSUPPORTED);
  return completionParams(request, {
    messages: [],
    prompt: request.prompt ?? undefined,
    logprobs: request.logprobs === false ? undefined : request.logprobs ?? undefined,
  });
}

const choiceFields = {
  index: z.int().min(0).openapi({ description: "Index of the choice.", example: 0 }),
  text: z.string().openapi({ description: "The generated text.", example: " there was a cat." }),
  logprobs: textLogprobsSchema.nullable().openapi({
    description: "Log probabilities of the text's tokens, if requested with `logprobs`; else null.",
  }),
  ...stateFields,
};

const objectFields = {
  ...commonFields,
  object: z.literal("text_completion").openapi({
    description: "The object type.",
    example: "text_completion",
  }),
  ...stateFields,
};

export const textCompletionSchema = z.object({
  ...objectFields,
  choices: z.array(
    z.object({ ...choiceFields, finish_reason: finishReason }).openapi("TextChoice"),
  ).min(1).openapi({ description: "The `n` choices." }),
  usage: usageSchema,
}).openapi("TextCompletion");

const textChunkSchema = z.object({
  ...objectFields,
  choices: z.array(
    z.object({
      ...choiceFields,
      finish_reason: finishReason.nullable().openapi({
        description: "Null except in the last chunk of a choice.",
        example: null,
      }),
    }).openapi("TextChunkChoice"),
  ).openapi({ description: "One choice; empty in the usage chunk." }),
  usage: usageSchema.nullable().optional().openapi({
    description: "Present with `stream_options.include_usage`; null except in the last chunk.",
  }),
}).openapi("TextCompletionChunk");

/** The data of a stream's events, except `[DONE]`. */
export const textEventSchema = z.union([textChunkSchema, errorEventSchema]).openapi(
  "TextCompletionEvent",
  { description: "The data of one event: a chunk, or an error, which ends the stream." },
);

export type TextCompletion = z.infer<typeof textCompletionSchema>;
export type TextChunk = z.infer<typeof textChunkSchema>;
