/** What `/v1/models` answers. */

import { z } from "@hono/zod-openapi";
import { epochSeconds, modelId } from "../openapi/ids_schema.ts";

const size = z.int().min(1);

export const modelSchema = z.object({
  id: modelId,
  object: z.literal("model").openapi({ description: "What this is.", example: "model" }),
  created: epochSeconds.openapi({ description: "When its file was written, in epoch seconds." }),
  owned_by: z.literal("rwkv").openapi({ description: "Always the same.", example: "rwkv" }),
  fingerprint: z.string().openapi({
    description: "Of the weights: states go on with every model that has the same one.",
    example: "sha256:9f2c5b7e",
  }),
  quantization: z.string().nullable().openapi({
    description: "How this worker holds the weights.",
    example: "int8",
  }),
  sizes: z.object({
    layers: size.openapi({ description: "Blocks.", example: 24 }),
    width: size.openapi({ description: "Channels.", example: 1024 }),
    head_size: size.openapi({ description: "Channels of a head.", example: 64 }),
    vocabulary: size.openapi({
      description: "Rows of the head; ids of tokens are below.",
      example: 65_536,
    }),
  }).openapi({ description: "Of the model." }),
  state_bytes: z.object({
    codec: z.enum(["f32", "f16", "q8"]).openapi({
      description: "How this worker stores states.",
      example: "f16",
    }),
    stored: size.openapi({
      description:
        "Of a state as it is stored, its header included; the conversation comes on top.",
      example: 3_244_052,
    }),
    float32: size.openapi({
      description: "Of its numbers as the engine holds them.",
      example: 6_488_064,
    }),
  }).openapi({ description: "Bytes of a state, however long the conversation is." }),
}).openapi("Model");

export const modelListSchema = z.object({
  object: z.literal("list").openapi({ description: "What this is.", example: "list" }),
  data: z.array(modelSchema).openapi({ description: "The one model that runs." }),
}).openapi("ModelList");

export type ModelObject = z.infer<typeof modelSchema>;
