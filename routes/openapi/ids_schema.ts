/** Schemas of ids and times that several resources share. */

import { z } from "@hono/zod-openapi";

const HEX = "0123456789abcdef".repeat(3);

export const EXAMPLE_STATE = `state_${HEX}`;
export const EXAMPLE_CONVERSATION = `conv_${HEX}`;

export const stateId = z.string().openapi({
  description: "Id of a stored state.",
  example: EXAMPLE_STATE,
});

export const conversationId = z.string().openapi({
  description: "Id of a conversation.",
  example: EXAMPLE_CONVERSATION,
});

export const modelId = z.string().openapi({
  description: "Id of the model.",
  example: "rwkv-5-world-0.4b",
});

export const epochSeconds = z.int().min(0).openapi({
  description: "Epoch seconds.",
  example: 1_800_000_000,
});
