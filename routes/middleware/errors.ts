/** Error responses in OpenAI's format: the `error` object always has all four keys. */

import type { Context, ErrorHandler, Handler, Hono } from "hono";
import { METHOD_NAME_ALL } from "hono/router";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { type ErrorCode, InferenceError } from "../../src/core/errors.ts";
import type { ErrorBody } from "../openapi/error_schema.ts";

/** Logs an error whose details are not sent to the client. */
export type Log = (message: string, error: unknown) => void;

/** Default of `retry-after` in seconds, for errors that do not set their own. */
export const RETRY_AFTER: Partial<Record<ErrorCode, number>> = {
  not_ready: 5,
  overloaded: 1,
  shutting_down: 1,
  store_unavailable: 1,
  device_lost: 5,
  request_in_progress: 1,
  too_many_turns: 1,
  rate_limit_exceeded: 1,
};

/** Maximum characters of a message and of a field name. Both may contain request data. */
const MESSAGE_LENGTH = 2000;
const PARAM_LENGTH = 200;

const INVALID = "invalid_request_error";

/** Returns the response body for `error`. The text of an internal error is not included. */
export function errorBody(error: unknown): ErrorBody {
  if (!(error instanceof InferenceError)) {
    const message = "The server had an error while processing your request";
    return { error: { message, type: "server_error", param: null, code: "internal_error" } };
  }
  const { status, code } = error;
  const message = truncate(error.message, MESSAGE_LENGTH);
  const param = error.param === undefined ? null : truncate(error.param, PARAM_LENGTH);
  const type = status >= 500 ? "server_error" : status === 429 ? rateLimitType(error) : INVALID;
  return { error: { message, type, param, code } };
}

/** Returns the exceeded per-minute limit, as OpenAI does, or the general type. */
function rateLimitType({ limit }: InferenceError): ErrorBody["error"]["type"] {
  return limit === "requests" || limit === "tokens" ? limit : "rate_limit_error";
}

function truncate(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length).toWellFormed()}…` : text;
}

/** Responds to an error with its status and headers, and logs details that the response omits. */
export function handleError(log: Log): ErrorHandler {
  return (error, c) => {
    const status = error instanceof InferenceError ? error.status : 500;
    if (hasHiddenCause(error)) log(`${c.req.method} ${c.req.path} failed`, error);
    if (error instanceof InferenceError) {
      const seconds = error.retryAfter ?? RETRY_AFTER[error.code];
      if (seconds !== undefined) c.header("retry-after", String(seconds));
      // OpenAI's clients retry 409 as a lock timeout, but most conflicts of this API are permanent.
      if (status === 409 && seconds === undefined) c.header("x-should-retry", "false");
      if (error.stateId !== undefined) c.header("x-state-id", error.stateId);
      if (status === 401) c.header("www-authenticate", "Bearer");
    }
    return c.json(errorBody(error), status as ContentfulStatusCode);
  };
}

/** Whether the log needs details that the response does not have. */
function hasHiddenCause(error: Error): boolean {
  return !(error instanceof InferenceError) || error.status >= 500 && error.cause !== undefined;
}

/** Responds to an unknown path. */
export function notFound(c: Context): Response {
  const message = `Unknown route: ${c.req.method} ${c.req.path}; /docs lists all routes`;
  return c.json(errorBody(new InferenceError("not_found", message)), 404);
}

/** Responds with 405 and the methods that the path supports. */
function respondMethodNotAllowed(allow: string): Handler {
  return (c) => {
    c.header("allow", allow);
    throw new InferenceError(
      "method_not_allowed",
      `Method ${c.req.method} is not allowed for ${c.req.path}; use ${allow}`,
    );
  };
}

/** Registers a 405 response for every path of `app` and every method without a route. */
export function rejectOtherMethods(app: Hono): void {
  const own = app.routes.filter(({ method }) => method !== METHOD_NAME_ALL);
  for (const [path, routes] of Map.groupBy(own, ({ path }) => path)) {
    const methods = new Set(routes.map(({ method }) => method));
    app.all(path, respondMethodNotAllowed([...methods].join(", ")));
  }
}
