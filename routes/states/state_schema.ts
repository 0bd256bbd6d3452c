/** What `/v1/states` answers. */

import { z } from "@hono/zod-openapi";
import { epochSeconds, modelId, stateId } from "../openapi/ids_schema.ts";
import { transcriptEntrySchema } from "../chat/message_schema.ts";

const object = z.literal("state").openapi({ description: "What this is.", example: "state" });

export const stateSchema = z.object({
  id: stateId,
  object,
  model: modelId.openapi({ description: "The model that wrote it." }),
  model_fingerprint: z.string().openapi({
    description:
      "Of the model's weights, with `+` and the vocabulary's hash where that is another " +
      "one than the worker's: a worker with the same ones may resume the state.",
    example: "sha256:9f2c5b7e",
  }),
  quant: z.string().nullable().openapi({
    description: "How the worker that wrote it held the weights. Any other way of holding the " +
      "same model resumes it.",
    example: "int8",
  }),
  created: epochSeconds.openapi({ description: "When it was stored, in epoch seconds." }),
  expires_at: epochSeconds.openapi({
    description: "When it expires unless it is used before, in epoch seconds.",
    example: 1_800_604_800,
  }),
  bytes: z.int().min(0).openapi({
    description: "Stored for it: the state, the turn and the transcript.",
    example: 196_608,
  }),
  open: z.boolean().openapi({
    description: "Whether the reply is unfinished and goes on without a new message.",
    example: false,
  }),
  tokens: z.int().min(0).openapi({ description: "Absorbed by the state.", example: 42 }),
  pending_tokens: z.int().min(0).openapi({
    description: "To be read first when the state is resumed.",
    example: 1,
  }),
  message_count: z.int().min(0).openapi({
    description: "Messages of the whole conversation that led to it.",
    example: 2,
  }),
  transcript: z.array(transcriptEntrySchema).readonly().openapi({
    description: "The conversation, or the page of it that `after` and `limit` ask for.",
  }),
  has_more: z.boolean().openapi({
    description: "Whether there are messages after this page. It also ends after 4 MiB.",
    example: false,
  }),
}).openapi("State");

export const transcriptQuery = z.object({
  after: z.coerce.number().int().min(0).optional().openapi({
    param: { name: "after", in: "query" },
    description:
      "Messages of the transcript to skip, for the next page as many as were received. " +
      "0 unless given.",
    example: 0,
  }),
  limit: z.coerce.number().int().min(1).max(1000).optional().openapi({
    param: { name: "limit", in: "query" },
    description: "Messages of the transcript at most; 1000 unless given.",
    example: 1000,
  }),
});

export const deletedStateSchema = z.object({
  id: stateId,
  object,
  deleted: z.literal(true).openapi({ description: "It is gone.", example: true }),
}).openapi("DeletedState");

export const stateFileSchema = z.string().openapi("StateFile", {
  format: "binary",
  description: "A whole state, as `docs/internals/formats.md` lays it out.",
});

export type StateObject = z.infer<typeof stateSchema>;
