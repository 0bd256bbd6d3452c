/** The client's error class, and the conversion of error responses to it. */

/** The details of an error besides its message. */
export interface ApiErrorDetails {
  /** The HTTP status. */
  status: number;
  /** The API's error code; `unknown` if the response does not come from a worker. */
  code: string;
  /** The request's invalid field, if any. */
  param?: string | null | undefined;
  /** The seconds to wait before a retry. */
  retryAfter?: number | undefined;
  /** The state with the partial result, if there is one. */
  stateId?: string | null | undefined;
  /** The request's id in the worker's log. */
  requestId?: string | null | undefined;
}

/** A request failed, or a stream was interrupted. */
export class ApiError extends Error {
  /** Identifies the class where `instanceof` does not work, such as across realms. */
  override readonly name = "ApiError";
  /** The HTTP status. */
  readonly status: number;
  /** The API's error code; `unknown` if the response does not come from a worker. */
  readonly code: string;
  /** The request's invalid field, if any. */
  readonly param: string | null;
  /** The seconds to wait before a retry. */
  readonly retryAfter: number | undefined;
  /** The state with the partial result, if there is one. */
  readonly stateId: string | null;
  /** The request's id in the worker's log. */
  readonly requestId: string | null;

  /** Creates an error with the worker's message. */
  constructor(message: string, details: ApiErrorDetails) {
    super(message);
    this.status = details.status;
    this.code = details.code;
    this.param = details.param ?? null;
    this.retryAfter = details.retryAfter;
    this.stateId = details.stateId ?? null;
    this.requestId = details.requestId ?? null;
  }
}

/**
 * Converts an error body to an ApiError. The body may be any value, for example from a proxy.
 *
 * @param response The response with the body.
 */
export function toApiError(body: unknown, response: Response): ApiError {
  const { status, headers } = response;
  const error = typeof body === "object" && body !== null && "error" in body ? body.error : null;
  const { message, code, param } = (error ?? {}) as Record<string, unknown>;
  const seconds = headers.get("retry-after");
  return new ApiError(
    typeof message === "string" ? message : `The worker returned status ${status}`,
    {
      status,
      code: typeof code === "string" ? code : "unknown",
      param: typeof param === "string" ? param : null,
      retryAfter: seconds !== null && /^\d+$/.test(seconds) ? Number(seconds) : undefined,
      stateId: headers.get("x-state-id"),
      requestId: headers.get("x-request-id"),
    },
  );
}
