/** Error responses of the OpenAPI document: for each status, the possible error codes. */

import type { z } from "zod";
import {
  ERROR_DESCRIPTIONS,
  ERROR_STATUS,
  type ErrorCode,
  InferenceError,
} from "../../src/core/errors.ts";
import { statusOnRoute } from "../middleware/referenced_ids.ts";
import { type ErrorBody, errorSchema } from "./error_schema.ts";
import { errorBody, RETRY_AFTER } from "../middleware/errors.ts";
import { RATE_LIMIT_HEADERS } from "../middleware/rate_limits.ts";
import { headerRefs, type ResponseHeader } from "./response_headers.ts";

/** Errors of every route, from `guard.ts`. */
const GUARD_ERRORS = ["host_not_allowed", "origin_not_allowed"] as const;

/** Errors of every route that uses sessions, which require authentication. */
export const SESSION_ERRORS = [
  "invalid_api_key",
  "store_unavailable",
  "not_ready",
  "cancelled",
] as const;

/** Errors of every route with a request body. */
export const BODY_ERRORS = [
  "invalid_value",
  "payload_too_large",
  "unsupported_encoding",
  "request_timeout",
  "overloaded",
  "rate_limit_exceeded",
] as const;

/** Errors of every route that loads a state by its id. */
export const STATE_ERRORS = [
  "state_not_found",
  "state_expired",
  "state_damaged",
  "store_unavailable",
] as const;

/** Errors of every route that generates text. */
const TURN_ERRORS = [
  "context_length_exceeded",
  "too_many_turns",
  "storage_limit_exceeded",
  "overloaded",
  "shutting_down",
  "device_lost",
  "numeric_fault",
] as const;

/** Errors of chat and text completions. */
export const GENERATION_ERRORS = [
  ...BODY_ERRORS,
  "unsupported_value",
  ...SESSION_ERRORS,
  "model_not_found",
  ...STATE_ERRORS,
  "model_mismatch",
  "conversation_not_found",
  "conversation_conflict",
  ...TURN_ERRORS,
] as const;

interface ErrorResponse {
  description: string;
  headers: Record<string, { $ref: string }>;
  content: {
    "application/json": {
      schema: z.ZodType<ErrorBody>;
      /** Examples by error code. */
      examples: Record<string, { summary: string; value: ErrorBody }>;
    };
  };
}

interface ErrorCase {
  code: string;
  status: number;
  when: string;
  headers: readonly ResponseHeader[];
  value: ErrorBody;
}

/** Returns the error responses of a route by status, with those of the guard and an internal error. */
export function errorResponses(codes: readonly ErrorCode[]): Record<string, ErrorResponse> {
  const cases = [...new Set([...codes, ...GUARD_ERRORS])]
    .map((code) => errorCase(code, statusOnRoute(code, codes)));
  const internalError: ErrorCase = {
    code: "internal_error",
    status: 500,
    when: "an internal error; the details are only in the log",
    headers: [],
    value: errorBody(undefined),
  };
  // Permanent errors are replayed too.
  const isIdempotent = codes.includes("idempotency_key_reused");
  const byStatus = Map.groupBy([...cases, internalError], ({ status }) => status);
  return Object.fromEntries([...byStatus].map(([status, found]) => [
    status,
    responseOf(found, isIdempotent ? ["idempotent-replayed"] : []),
  ]));
}

function responseOf(
  cases: readonly ErrorCase[],
  always: readonly ResponseHeader[],
): ErrorResponse {
  return {
    description: cases.map(({ code, when }) => `\`${code}\`: ${when}`).join(".\n\n") + ".",
    headers: headerRefs("x-request-id", ...always, ...cases.flatMap(({ headers }) => headers)),
    content: {
      "application/json": {
        schema: errorSchema,
        examples: Object.fromEntries(
          cases.map(({ code, when, value }) => [code, { summary: when, value }]),
        ),
      },
    },
  };
}

function errorCase(code: ErrorCode, status: number): ErrorCase {
  const headers: ResponseHeader[] = [];
  if (code in RETRY_AFTER) headers.push("retry-after");
  else if (ERROR_STATUS[code] === 409) headers.push("x-should-retry");
  if (code === "rate_limit_exceeded") headers.push(...RATE_LIMIT_HEADERS);
  if (code === "conversation_conflict" || code === "answer_gone") headers.push("x-state-id");
  if (ERROR_STATUS[code] === 401) headers.push("www-authenticate");
  const when = ERROR_DESCRIPTIONS[code];
  const message = when[0].toUpperCase() + when.slice(1).replaceAll("`", "");
  const limit = code === "rate_limit_exceeded" ? "requests" : undefined;
  const value = errorBody(new InferenceError(code, message, { limit }));
  return { code, status, when, headers, value };
}
