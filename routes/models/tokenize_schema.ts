/** What `/v1/tokenize` and `/v1/detokenize` take and answer. */

import { z } from "@hono/zod-openapi";
import { modelId } from "../openapi/ids_schema.ts";
import { messageSchema } from "../chat/message_schema.ts";

const model = modelId.nullish().openapi({
  description: "The id that `/v1/models` lists, or `default`. The one that runs, unless given.",
  example: "default",
});

const token = z.int().min(0);

export const tokenizeRequestSchema = z.object({
  model,
  prompt: z.string().nullish().openapi({
    description: "A text, read as it stands. Not together with `messages`.",
    example: "Hello",
  }),
  messages: z.array(messageSchema).nullish().openapi({
    description: "Messages, read as a new conversation reads them, the reply's start included.",
    example: [{ role: "user", content: "Hello" }],
  }),
}, { error: "expected a JSON object" }).openapi("TokenizeRequest", {
  example: { model: "default", prompt: "Hello" },
});

export const tokenizedSchema = z.object({
  tokens: z.array(token).openapi({ description: "Ids.", example: [33155] }),
  count: z.int().min(0).openapi({ description: "How many there are.", example: 1 }),
  max_model_len: z.null().openapi({
    description: "Always null: conversations may be of any length.",
    example: null,
  }),
}).openapi("Tokenized");

export const detokenizeRequestSchema = z.object({
  model,
  tokens: z.array(token).openapi({ description: "Ids of the vocabulary.", example: [34] }),
}, { error: "expected a JSON object" }).openapi("DetokenizeRequest", {
  example: { model: "default", tokens: [34] },
});

export const detokenizedSchema = z.object({
  prompt: z.string().openapi({
    description: "The text; U+FFFD stands for bytes that are no UTF-8.",
    example: "Hello",
  }),
}).openapi("Detokenized");

export type TokenizeRequest = z.infer<typeof tokenizeRequestSchema>;
