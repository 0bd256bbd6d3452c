/** What `POST /v1/completions` takes and answers. */

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

const message = "replies are held to a form in chat completions only";

/** Fields that are understood and cannot be served, with the values that ask for nothing. */
const UNSUPPORTED = {
  echo: { takes: z.literal(false), message: "the prompt is not written again" },
  suffix: { takes: z.literal(""), message: "what comes after a gap cannot be told" },
  response_format: {
    takes: z.looseObject({
      type: z.literal("text").meta({ description: "Any text.", example: "text" }),
    }),
    message,
  },
  guided_regex: { takes: z.literal(""), message },
  guided_choice: { takes: z.array(z.unknown()).max(0), message },
  guided_grammar: { takes: z.literal(""), message },
} satisfies UnsupportedFields;

const prompt = z.union([z.string(), z.tuple([z.string()]).transform(([text]) => text)], {
  error: "expected one text, as a string or in a list",
});

export const completionRequestSchema = z.object({
  ...generationFields,
  prompt: prompt.nullish().openapi({
    description: "A text, which is written on as it stands: no template, and no end but `stop`, " +
      "`max_tokens` and the model's own. Left out to let an open reply go on.",
    example: "Once upon a time",
  }),
  logprobs: z.union([z.int().min(0).max(20), z.literal(false)], {
    error: "expected an integer from 0 to 20, or false",
  }).nullish().openapi({
    description: "Tells how probable each token was, with so many of the most probable ones; " +
      "`false` or null: not at all. " + LOGPROBS_LIMIT,
    example: 2,
  }),
  ...documentedFields(UNSUPPORTED),
}, { error: "expected a JSON object" }).openapi("CompletionRequest", {
  example: { model: "default", prompt: "Once upon a time", max_tokens: 64 },
});

/** @throws InferenceError `unsupported_value`, naming the field */
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
  index: z.int().min(0).openapi({ description: "Of the choice.", example: 0 }),
  text: z.string().openapi({ description: "What was written.", example: " there was a cat." }),
  logprobs: textLogprobsSchema.nullable().openapi({
    description: "Of the tokens of the text, where `logprobs` asks for them; else null.",
  }),
  ...stateFields,
};

const objectFields = {
  ...commonFields,
  object: z.literal("text_completion").openapi({
    description: "What this is.",
    example: "text_completion",
  }),
  ...stateFields,
};

export const textCompletionSchema = z.object({
  ...objectFields,
  choices: z.array(
    z.object({ ...choiceFields, finish_reason: finishReason }).openapi("TextChoice"),
  ).min(1).openapi({ description: "As many as `n` asks for." }),
  usage: usageSchema,
}).openapi("TextCompletion");

const textChunkSchema = z.object({
  ...objectFields,
  choices: z.array(
    z.object({
      ...choiceFields,
      finish_reason: finishReason.nullable().openapi({
        description: "Null but in the last chunk of a choice.",
        example: null,
      }),
    }).openapi("TextChunkChoice"),
  ).openapi({ description: "One; none in the chunk with the usage." }),
  usage: usageSchema.nullable().optional().openapi({
    description: "Where `stream_options.include_usage` asks for it: null but in the last chunk.",
  }),
}).openapi("TextCompletionChunk");

/** The data of a stream's events, but for `[DONE]`. */
export const textEventSchema = z.union([textChunkSchema, errorEventSchema]).openapi(
  "TextCompletionEvent",
  { description: "The data of one event: a chunk, or an error, which ends the stream." },
);

export type TextCompletion = z.infer<typeof textCompletionSchema>;
export type TextChunk = z.infer<typeof textChunkSchema>;
