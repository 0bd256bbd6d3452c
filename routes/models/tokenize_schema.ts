/** Requests and responses of `/v1/tokenize` and `/v1/detokenize`. */

import { z } from "@hono/zod-openapi";
import { modelId } from "../openapi/ids_schema.ts";
import { messageSchema } from "../chat/message_schema.ts";

const model = modelId.nullish().openapi({
  description: "The model's id from `/v1/models`, or `default`. Default: the running model.",
  example: "default",
});

const token = z.int().min(0);

export const tokenizeRequestSchema = z.object({
  model,
  prompt: z.string().nullish().openapi({
    description: "A text, tokenized without a template. Mutually exclusive with `messages`.",
    example: "Hello",
  }),
  messages: z.array(messageSchema).nullish().openapi({
    description:
      "Messages of a new conversation, with the chat template and the generation prompt.",
    example: [{ role: "user", content: "Hello" }],
  }),
}, { error: "expected a JSON object" }).openapi("TokenizeRequest", {
  example: { model: "default", prompt: "Hello" },
});

export const tokenizedSchema = z.object({
  tokens: z.array(token).openapi({ description: "The token ids.", example: [33155] }),
  count: z.int().min(0).openapi({ description: "Number of tokens.", example: 1 }),
  max_model_len: z.null().openapi({
    description: "Always null, since conversations have no maximum length.",
    example: null,
  }),
}).openapi("Tokenized");

export const detokenizeRequestSchema = z.object({
  model,
  tokens: z.array(token).openapi({
    description: "Token ids of the model's vocabulary.",
    example: [34],
  }),
}, { error: "expected a JSON object" }).openapi("DetokenizeRequest", {
  example: { model: "default", tokens: [34] },
});

export const detokenizedSchema = z.object({
  prompt: z.string().openapi({
    description: "The text. Bytes that are not valid UTF-8 are replaced with U+FFFD.",
    example: "Hello",
  }),
}).openapi("Detokenized");

export type TokenizeRequest = z.infer<typeof tokenizeRequestSchema>;
