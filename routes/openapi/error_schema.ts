/** The body of every error. */

import { z } from "@hono/zod-openapi";
import { ERROR_STATUS, type ErrorCode } from "../../src/core/errors.ts";

const CODES = [...Object.keys(ERROR_STATUS) as ErrorCode[], "internal_error"] as const;

const TYPES = [
  "invalid_request_error",
  "rate_limit_error",
  "requests",
  "tokens",
  "server_error",
] as const;

export const errorSchema = z.object({
  error: z.object({
    message: z.string().openapi({
      description: "What went wrong, with the value and the remedy.",
      example: 'The model "gpt" is not loaded; this worker runs "demo", also called "default"',
    }),
    type: z.enum(TYPES).openapi({
      description: "Whose fault it is, in OpenAI's words: of `rate_limit_exceeded` what is used " +
        "up, `requests` or `tokens`.",
      example: "invalid_request_error",
    }),
    param: z.string().nullable().openapi({
      description: "The field that the message is about.",
      example: "model",
    }),
    code: z.enum(CODES).openapi({
      description: "The kind of error.",
      example: "model_not_found",
    }),
  }).openapi({ description: "What clients are told." }),
}).openapi("Error", { description: "All four keys are there always." });

/** The data of an event that ends a stream before its time. */
export const errorEventSchema = z.object({
  ...errorSchema.shape,
  state_id: z.string().optional().openapi({
    description:
      "What resumes the turn that has failed, where that was stored: with no messages, " +
      "its reply is written from the beginning. The state that it went on from is as it was.",
    example: `state_${"0123456789abcdef".repeat(3)}`,
  }),
}).openapi("ErrorEvent", { description: "An error, and what can be gone on from." });

export type ErrorBody = z.infer<typeof errorSchema>;
