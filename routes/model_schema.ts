/** What `/v1/models` answers. */

import { z } from "@hono/zod-openapi";
import { epochSeconds, modelId } from "./ids_schema.ts";

export const modelSchema = z.object({
  id: modelId,
  object: z.literal("model").openapi({ description: "What this is.", example: "model" }),
  created: epochSeconds.openapi({ description: "When its file was written, in epoch seconds." }),
  owned_by: z.literal("rwkv").openapi({ description: "Always the same.", example: "rwkv" }),
}).openapi("Model");

export const modelListSchema = z.object({
  object: z.literal("list").openapi({ description: "What this is.", example: "list" }),
  data: z.array(modelSchema).openapi({ description: "The one model that runs." }),
}).openapi("ModelList");

export type ModelObject = z.infer<typeof modelSchema>;
