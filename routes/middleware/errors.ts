/** Errors as OpenAI's clients expect them, all four keys always. */

import type { Context, ErrorHandler, Handler, Hono } from "hono";
import { METHOD_NAME_ALL } from "hono/router";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { type ErrorCode, InferenceError } from "../../src/core/errors.ts";
import type { ErrorBody } from "../openapi/error_schema.ts";

/** Called with what the client is not told. */
export type Log = (message: string, error: unknown) => void;

/** Seconds after which to try again, where the error does not say. */
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

/** Characters of a message and of a field's name at most: both may have in them what was sent. */
const MESSAGE_LENGTH = 2000;
const PARAM_LENGTH = 200;

const INVALID = "invalid_request_error";

/** The body that tells a client of `error`; a bug's text is not shown. */
export function errorBody(error: unknown): ErrorBody {
  if (!(error instanceof InferenceError)) {
    const message = "The server had an error while processing your request";
    return { error: { message, type: "server_error", param: null, code: "internal_error" } };
  }
  const { status, code } = error;
  const message = shortened(error.message, MESSAGE_LENGTH);
  const param = error.param === undefined ? null : shortened(error.param, PARAM_LENGTH);
  const type = status >= 500 ? "server_error" : status === 429 ? refusalType(error) : INVALID;
  return { error: { message, type, param, code } };
}

/** What is used up, where that is counted by the minute. */
function refusalType({ limit }: InferenceError): ErrorBody["error"]["type"] {
  return limit === "requests" || limit === "tokens" ? limit : "rate_limit_error";
}

function shortened(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length).toWellFormed()}…` : text;
}

export function handleError(log: Log): ErrorHandler {
  return (error, c) => {
    const status = error instanceof InferenceError ? error.status : 500;
    if (isUntold(error)) log(`${c.req.method} ${c.req.path} failed`, error);
    if (error instanceof InferenceError) {
      const seconds = error.retryAfter ?? RETRY_AFTER[error.code];
      if (seconds !== undefined) c.header("retry-after", String(seconds));
      // Clients take 409 for a lock that will pass; most of ours are for good.
      if (status === 409 && seconds === undefined) c.header("x-should-retry", "false");
      if (error.stateId !== undefined) c.header("x-state-id", error.stateId);
      if (status === 401) c.header("www-authenticate", "Bearer");
    }
    return c.json(errorBody(error), status as ContentfulStatusCode);
  };
}

/** Whether there is more to it than its client is told: one that is refused for now is told all. */
function isUntold(error: Error): boolean {
  return !(error instanceof InferenceError) || error.status >= 500 && error.cause !== undefined;
}

export function notFound(c: Context): Response {
  const message = `There is no ${c.req.method} ${c.req.path} here`;
  return c.json(errorBody(new InferenceError("not_found", message)), 404);
}

/** For a path that knows only the methods in `allow`. */
function respondMethodNotAllowed(allow: string): Handler {
  return (c) => {
    c.header("allow", allow);
    throw new InferenceError(
      "method_not_allowed",
      `${c.req.path} does not take ${c.req.method}; it takes ${allow}`,
    );
  };
}

/** Lets the paths of `app` answer 405 to all methods but those that they have routes for. */
export function rejectOtherMethods(app: Hono): void {
  const own = app.routes.filter(({ method }) => method !== METHOD_NAME_ALL);
  for (const [path, routes] of Map.groupBy(own, ({ path }) => path)) {
    const methods = new Set(routes.map(({ method }) => method));
    app.all(path, respondMethodNotAllowed([...methods].join(", ")));
  }
}
