/** What a worker answers when it does not do what it is asked. */

/** What an answer tells of an error besides its message. */
export interface ApiErrorDetails {
  /** The HTTP status. */
  status: number;
  /** The kind of error, as the API documents it; `unknown` for what no worker has sent. */
  code: string;
  /** The field of the request that is wrong, if one is. */
  param?: string | null | undefined;
  /** Seconds after which it is worth to try again. */
  retryAfter?: number | undefined;
  /** The state that holds what was done, where something was. */
  stateId?: string | null | undefined;
  /** The request, as the worker's log names it. */
  requestId?: string | null | undefined;
}

/** A worker's answer that it does not do what it is asked, or that a stream broke off. */
export class ApiError extends Error {
  /** Tells it from other errors, also where `instanceof` cannot. */
  override readonly name = "ApiError";
  /** The HTTP status. */
  readonly status: number;
  /** The kind of error, as the API documents it; `unknown` for what no worker has sent. */
  readonly code: string;
  /** The field of the request that is wrong, if one is. */
  readonly param: string | null;
  /** Seconds after which it is worth to try again. */
  readonly retryAfter: number | undefined;
  /** The state that holds what was done, where something was. */
  readonly stateId: string | null;
  /** The request, as the worker's log names it. */
  readonly requestId: string | null;

  /** An error with the worker's own message. */
  constructor(message: string, facts: ApiErrorDetails) {
    super(message);
    this.status = facts.status;
    this.code = facts.code;
    this.param = facts.param ?? null;
    this.retryAfter = facts.retryAfter;
    this.stateId = facts.stateId ?? null;
    this.requestId = facts.requestId ?? null;
  }
}

/**
 * The error that a body tells of, whoever has sent it.
 *
 * @param response What it came with.
 */
export function toApiError(body: unknown, response: Response): ApiError {
  const { status, headers } = response;
  const told = typeof body === "object" && body !== null && "error" in body ? body.error : null;
  const { message, code, param } = (told ?? {}) as Record<string, unknown>;
  const seconds = headers.get("retry-after");
  return new ApiError(typeof message === "string" ? message : `The worker answered ${status}`, {
    status,
    code: typeof code === "string" ? code : "unknown",
    param: typeof param === "string" ? param : null,
    retryAfter: seconds !== null && /^\d+$/.test(seconds) ? Number(seconds) : undefined,
    stateId: headers.get("x-state-id"),
    requestId: headers.get("x-request-id"),
  });
}
