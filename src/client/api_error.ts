/** What a worker answers when it does not do what it is asked. */

export interface ApiErrorFacts {
  status: number;
  /** The kind of error, as the API documents it; `unknown` for what no worker has sent. */
  code: string;
  param?: string | null | undefined;
  /** Seconds after which it is worth to try again. */
  retryAfter?: number | undefined;
  /** The state that holds what was done, where something was. */
  stateId?: string | null | undefined;
  requestId?: string | null | undefined;
}

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly retryAfter: number | undefined;
  readonly stateId: string | null;
  readonly requestId: string | null;

  constructor(message: string, facts: ApiErrorFacts) {
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
export function apiError(body: unknown, response: Response): ApiError {
  const { status, headers } = response;
  const told = typeof body === "object" && body !== null && "error" in body ? body.error : null;
  const { message, code, param } = (told ?? {}) as Record<string, unknown>;
  const seconds = headers.get("retry-after");
  return new ApiError(typeof message === "string" ? message : `The worker answered ${status}`, {
    status,
    code: typeof code === "string" ? code : "unknown",
    param: typeof param === "string" ? param : null,
    retryAfter: seconds === null ? undefined : Number(seconds),
    stateId: headers.get("x-state-id"),
    requestId: headers.get("x-request-id"),
  });
}
