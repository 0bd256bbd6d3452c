/** What `POST /v1/chat/completions` answers, whole and in chunks. */

import { z } from "@hono/zod-openapi";
import { errorEventSchema } from "../openapi/error_schema.ts";
import { epochSeconds, EXAMPLE_STATE, modelId } from "../openapi/ids_schema.ts";
import { chatLogprobsSchema } from "../generation/logprobs_schema.ts";

/** What every object of one turn begins with. */
export const commonFields = {
  id: z.string().openapi({
    description: "Names the turn, the same in all its chunks.",
    example: "chatcmpl-0123456789abcdef0123456789abcdef0123456789abcdef",
  }),
  created: epochSeconds.openapi({ description: "When the turn began, in epoch seconds." }),
  model: modelId.openapi({ description: "The model that wrote." }),
  system_fingerprint: z.string().openapi({
    description: "Of the model's weights.",
    example: "fp_9f2c5b7e0a1b2c3d",
  }),
};

/** The state that a choice leads to; beside `choices` it is that of the first one. */
export const stateFields = {
  state_id: z.string().nullable().optional().openapi({
    description: "The state after the reply; null where none was stored.",
    example: EXAMPLE_STATE,
  }),
  warning: z.string().optional().openapi({
    description: "Why the state could not be stored.",
    example: "The reply could not be stored: the store can't be reached",
  }),
};

export const usageSchema = z.object({
  prompt_tokens: z.int().min(0).openapi({
    description: "Everything that the model has read, what its state had absorbed before included.",
    example: 42,
  }),
  completion_tokens: z.int().min(0).openapi({
    description: "Written, in all choices.",
    example: 7,
  }),
  total_tokens: z.int().min(0).openapi({ description: "The sum of both.", example: 49 }),
  prompt_tokens_details: z.object({
    cached_tokens: z.int().min(0).openapi({
      description: "Tokens of the prompt that did not have to be read again.",
      example: 32,
    }),
  }).openapi({ description: "Of the prompt." }),
}).openapi("Usage", { description: "Tokens read and written." });

export const finishReason = z.enum(["stop", "length"]).openapi({
  description: "`stop`: the reply ended. `length`: it was cut short, by the limit or by a " +
    "cancellation, and goes on when its state is resumed without a message.",
  example: "stop",
});

const index = z.int().min(0).openapi({ description: "Of the choice.", example: 0 });
const logprobs = chatLogprobsSchema.nullable().openapi({
  description: "Of the tokens of the text, where `logprobs` asks for them; else null.",
});

const choiceSchema = z.object({
  index,
  message: z.object({
    role: z.literal("assistant").openapi({ description: "Who speaks.", example: "assistant" }),
    content: z.string().openapi({
      description: "What this turn added to the reply.",
      example: "Hi.",
    }),
    refusal: z.null().openapi({ description: "Always null.", example: null }),
  }).openapi({ description: "The reply." }),
  logprobs,
  finish_reason: finishReason,
  ...stateFields,
}).openapi("ChatChoice");

export const completionSchema = z.object({
  ...commonFields,
  object: z.literal("chat.completion").openapi({
    description: "What this is.",
    example: "chat.completion",
  }),
  choices: z.array(choiceSchema).min(1).openapi({ description: "As many as `n` asks for." }),
  usage: usageSchema,
  ...stateFields,
}).openapi("ChatCompletion");

const chunkChoiceSchema = z.object({
  index,
  delta: z.object({
    role: z.literal("assistant").optional().openapi({
      description: "In the first chunk of a choice.",
      example: "assistant",
    }),
    content: z.string().optional().openapi({ description: "More of the reply.", example: "Hi" }),
  }).openapi({ description: "What is new; empty in the last chunk of a choice." }),
  logprobs,
  finish_reason: finishReason.nullable().openapi({
    description: "Null but in the last chunk of a choice.",
    example: null,
  }),
  ...stateFields,
}).openapi("ChatChunkChoice");

export const chunkSchema = z.object({
  ...commonFields,
  object: z.literal("chat.completion.chunk").openapi({
    description: "What this is.",
    example: "chat.completion.chunk",
  }),
  choices: z.array(chunkChoiceSchema).openapi({
    description: "One; none in the chunk with the usage.",
  }),
  usage: usageSchema.nullable().optional().openapi({
    description: "Where `stream_options.include_usage` asks for it: null but in the last chunk.",
  }),
  ...stateFields,
}).openapi("ChatCompletionChunk");

/** The data of a stream's events, but for `[DONE]`. */
export const eventSchema = z.union([chunkSchema, errorEventSchema]).openapi("ChatCompletionEvent", {
  description: "The data of one event: a chunk, or an error, which ends the stream.",
});

export type Completion = z.infer<typeof completionSchema>;
export type Chunk = z.infer<typeof chunkSchema>;
export type Delta = Chunk["choices"][number]["delta"];
