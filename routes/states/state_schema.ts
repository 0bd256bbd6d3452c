/** Responses of `/v1/states`. */

import { z } from "@hono/zod-openapi";
import { epochSeconds, modelId, stateId } from "../openapi/ids_schema.ts";
import { transcriptEntrySchema } from "../chat/message_schema.ts";

const object = z.literal("state").openapi({ description: "The object type.", example: "state" });

export const stateSchema = z.object({
  id: stateId,
  object,
  model: modelId.openapi({ description: "The model that created the state." }),
  model_fingerprint: z.string().openapi({
    description: "Hash of the model's weights, followed by `+` and the vocabulary's hash if the " +
      "vocabulary differs from the worker's. A worker with the same hashes can resume the state.",
    example: "sha256:9f2c5b7e",
  }),
  quant: z.string().nullable().openapi({
    description: "Weight format of the worker that created the state. The same model in any " +
      "other format can resume it.",
    example: "int8",
  }),
  created: epochSeconds.openapi({ description: "Creation time in epoch seconds." }),
  expires_at: epochSeconds.openapi({
    description: "Expiry time in epoch seconds; each use extends it.",
    example: 1_800_604_800,
  }),
  bytes: z.int().min(0).openapi({
    description: "Stored bytes: the state, the turn and the transcript.",
    example: 196_608,
  }),
  open: z.boolean().openapi({
    description:
      "Whether the reply is unfinished, so that it can be continued without a new message.",
    example: false,
  }),
  tokens: z.int().min(0).openapi({ description: "Tokens processed by the state.", example: 42 }),
  pending_tokens: z.int().min(0).openapi({
    description: "Tokens to process first when the state is resumed.",
    example: 1,
  }),
  message_count: z.int().min(0).openapi({
    description: "Number of messages in the conversation.",
    example: 2,
  }),
  transcript: z.array(transcriptEntrySchema).readonly().openapi({
    description: "The page of the conversation selected by `after` and `limit`.",
  }),
  has_more: z.boolean().openapi({
    description: "Whether there are more messages. A page also ends after 4 MiB.",
    example: false,
  }),
}).openapi("State");

export const transcriptQuery = z.object({
  after: z.coerce.number().int().min(0).optional().openapi({
    param: { name: "after", in: "query" },
    description:
      "Number of messages to skip: for the next page, the number received so far. Default: 0.",
    example: 0,
  }),
  limit: z.coerce.number().int().min(1).max(1000).optional().openapi({
    param: { name: "limit", in: "query" },
    description: "Maximum number of messages. Default: 1000.",
    example: 1000,
  }),
});

export const deletedStateSchema = z.object({
  id: stateId,
  object,
  deleted: z.literal(true).openapi({ description: "Always true.", example: true }),
}).openapi("DeletedState");

export const stateFileSchema = z.string().openapi("StateFile", {
  format: "binary",
  description: "A state, in the format of `docs/internals/formats.md`.",
});

export type StateObject = z.infer<typeof stateSchema>;
