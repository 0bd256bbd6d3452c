/** The body of error responses. */

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
      description: "What went wrong, with the invalid value and the remedy.",
      example: 'The model "gpt" is not loaded; this worker runs "demo", also called "default"',
    }),
    type: z.enum(TYPES).openapi({
      description:
        "OpenAI's error type. For `rate_limit_exceeded`, the exceeded limit: `requests` " +
        "or `tokens`.",
      example: "invalid_request_error",
    }),
    param: z.string().nullable().openapi({
      description: "The field that caused the error.",
      example: "model",
    }),
    code: z.enum(CODES).openapi({
      description: "The error code.",
      example: "model_not_found",
    }),
  }).openapi({ description: "The error." }),
}).openapi("Error", { description: "An error. All four keys are always present." });

/** The data of an error event, which ends a stream. */
export const errorEventSchema = z.object({
  ...errorSchema.shape,
  state_id: z.string().optional().openapi({
    description:
      "The state that resumes the failed turn, if it was stored. Without messages, the reply is " +
      "generated from its beginning. The state that the turn resumed is unchanged.",
    example: `state_${"0123456789abcdef".repeat(3)}`,
  }),
}).openapi("ErrorEvent", { description: "An error, and the state from which to retry." });

export type ErrorBody = z.infer<typeof errorSchema>;
