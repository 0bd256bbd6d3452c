/**
 * The one error class of the project. Its code is part of the API: routes turn it into a status
 * and an OpenAI error object, the command line into an exit status. Anything else that is thrown
 * is a bug: it answers 500 and never shows its text.
 */

/** HTTP status of every error code. */
export const ERROR_STATUS = {
  invalid_value: 400,
  unsupported_value: 400,
  cancelled: 499,
  context_length_exceeded: 400,
  model_mismatch: 409,
  model_not_found: 404,
  state_not_found: 404,
  state_expired: 410,
  state_damaged: 422,
  conversation_not_found: 404,
  conversation_conflict: 409,
  invalid_state_file: 400,
  not_found: 404,
  method_not_allowed: 405,
  payload_too_large: 413,
  overloaded: 503,
  too_many_turns: 429,
  shutting_down: 503,
  not_ready: 503,
  device_lost: 503,
  insufficient_memory: 503,
  store_unavailable: 503,
  invalid_checkpoint: 422,
  invalid_vocabulary: 422,
  numeric_fault: 500,
  usage: 400,
  file_error: 400,
  no_adapter: 503,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

export interface InferenceErrorOptions extends ErrorOptions {
  /** The request field, flag or file that the message is about. */
  param?: string | undefined;
  /** Seconds after which it is worth to try again. */
  retryAfter?: number | undefined;
  /** The state that holds what was done, where something was. */
  stateId?: string | undefined;
}

/** A failure the caller can act on: the message names the thing, its value and the remedy. */
export class InferenceError extends Error {
  override readonly name = "InferenceError";
  readonly param: string | undefined;
  readonly retryAfter: number | undefined;
  readonly stateId: string | undefined;

  constructor(readonly code: ErrorCode, message: string, options: InferenceErrorOptions = {}) {
    super(message, options);
    this.param = options.param;
    this.retryAfter = options.retryAfter;
    this.stateId = options.stateId;
  }

  get status(): number {
    return ERROR_STATUS[this.code];
  }
}
