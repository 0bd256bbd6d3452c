/** Responses of `/v1/models`. */

import { z } from "@hono/zod-openapi";
import { epochSeconds, modelId } from "../openapi/ids_schema.ts";

const size = z.int().min(1);

export const modelSchema = z.object({
  id: modelId,
  object: z.literal("model").openapi({ description: "The object type.", example: "model" }),
  created: epochSeconds.openapi({
    description: "Modification time of the model file, in epoch seconds.",
  }),
  owned_by: z.literal("rwkv").openapi({ description: "Always `rwkv`.", example: "rwkv" }),
  fingerprint: z.string().openapi({
    description:
      "Hash of the weights. States can be resumed by any model with the same fingerprint.",
    example: "sha256:9f2c5b7e",
  }),
  quantization: z.string().nullable().openapi({
    description: "Format of the weights in this worker's memory.",
    example: "int8",
  }),
  sizes: z.object({
    layers: size.openapi({ description: "Number of layers.", example: 24 }),
    width: size.openapi({ description: "Embedding size.", example: 1024 }),
    head_size: size.openapi({ description: "Channels per head.", example: 64 }),
    vocabulary: size.openapi({
      description: "Vocabulary size. Token ids are below it.",
      example: 65_536,
    }),
  }).openapi({ description: "Dimensions of the model." }),
  state_bytes: z.object({
    codec: z.enum(["f32", "f16", "q8"]).openapi({
      description: "Encoding of stored states.",
      example: "f16",
    }),
    stored: size.openapi({
      description: "Size of a stored state with its header, without the conversation.",
      example: 3_244_052,
    }),
    float32: size.openapi({
      description: "Size of a state in the engine's memory.",
      example: 6_488_064,
    }),
  }).openapi({
    description: "Size of a state in bytes, independent of the length of the conversation.",
  }),
}).openapi("Model");

export const modelListSchema = z.object({
  object: z.literal("list").openapi({ description: "The object type.", example: "list" }),
  data: z.array(modelSchema).openapi({ description: "The one model that runs." }),
}).openapi("ModelList");

export type ModelObject = z.infer<typeof modelSchema>;
