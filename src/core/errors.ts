/**
 * The one error class of the project. Its code is part of the API: routes map it to an HTTP status
 * and an OpenAI error object, the command line maps it to an exit status. Every other error is a
 * bug: the response is a 500 that never shows the error's text.
 */

/** The documented `code` of an API error. */
export type ErrorCode =
  | "invalid_api_key"
  | "invalid_value"
  | "unsupported_value"
  | "cancelled"
  | "context_length_exceeded"
  | "model_mismatch"
  | "model_not_found"
  | "state_not_found"
  | "state_expired"
  | "state_damaged"
  | "conversation_not_found"
  | "conversation_conflict"
  | "response_not_found"
  | "previous_response_not_found"
  | "invalid_state_file"
  | "idempotency_key_reused"
  | "request_in_progress"
  | "answer_gone"
  | "not_found"
  | "method_not_allowed"
  | "payload_too_large"
  | "unsupported_encoding"
  | "request_timeout"
  | "host_not_allowed"
  | "origin_not_allowed"
  | "overloaded"
  | "too_many_turns"
  | "rate_limit_exceeded"
  | "storage_limit_exceeded"
  | "shutting_down"
  | "not_ready"
  | "device_lost"
  | "insufficient_memory"
  | "store_unavailable"
  | "invalid_checkpoint"
  | "invalid_vocabulary"
  | "numeric_fault"
  | "usage"
  | "file_error"
  | "no_adapter"
  | "hub_error";

/**
 * The cause of an engine failure. The device is lost, is out of memory, rejects a shader or other
 * work, computes NaN or infinite values, or does not respond; or the engine's Worker has failed; or
 * the model cannot be reloaded.
 */
export type FaultKind =
  | "device_lost"
  | "out_of_memory"
  | "shader"
  | "refused"
  | "numeric"
  | "hung"
  | "worker"
  | "reload";

/** All kinds of faults. */
export const FAULT_KINDS: readonly FaultKind[] = [
  "device_lost",
  "out_of_memory",
  "shader",
  "refused",
  "numeric",
  "hung",
  "worker",
  "reload",
];

/** The limits of an API key: per minute, per request, and on what its tenant stores. */
export type LimitKind =
  | "requests"
  | "tokens"
  | "prompt_tokens"
  | "states"
  | "conversations"
  | "bytes";

/** All kinds of limits. */
export const LIMIT_KINDS: readonly LimitKind[] = [
  "requests",
  "tokens",
  "prompt_tokens",
  "states",
  "conversations",
  "bytes",
];

/** HTTP status of every error code. */
export const ERROR_STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid_api_key: 401,
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
  response_not_found: 404,
  previous_response_not_found: 400,
  invalid_state_file: 400,
  idempotency_key_reused: 422,
  request_in_progress: 409,
  answer_gone: 410,
  not_found: 404,
  method_not_allowed: 405,
  payload_too_large: 413,
  unsupported_encoding: 415,
  request_timeout: 408,
  host_not_allowed: 403,
  origin_not_allowed: 403,
  overloaded: 503,
  too_many_turns: 429,
  rate_limit_exceeded: 429,
  storage_limit_exceeded: 403,
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
  hub_error: 502,
};

/** When each error occurs, for the API documentation. */
export const ERROR_DESCRIPTIONS: Readonly<Record<ErrorCode, string>> = {
  invalid_api_key: "the API key is missing or invalid",
  invalid_value: "a field has an invalid value; `param` names the field",
  unsupported_value: "a field requests an unsupported feature; `param` names the field",
  cancelled: "the client closed the connection",
  context_length_exceeded: "the prompt exceeds the number of tokens allowed per request",
  model_mismatch: "the state belongs to another model or vocabulary; do not retry",
  model_not_found: "the requested model is not the one that this worker runs",
  state_not_found: "the state does not exist, was deleted, or expired more than a day ago",
  state_expired: "the state expired within the last day",
  state_damaged: "bytes of the state are missing or do not match their checksum",
  conversation_not_found: "the conversation does not exist, was deleted or has expired",
  conversation_conflict: "another request changed the conversation in the meantime; do not retry",
  response_not_found: "the response does not exist, was deleted or has expired",
  previous_response_not_found: "the previous response does not exist, was deleted or has expired",
  invalid_state_file: "the file is not a valid state file; `param` names the field",
  idempotency_key_reused: "the idempotency key was already used with another body",
  request_in_progress: "the first request with this idempotency key is still running; retry " +
    "after `retry-after` seconds",
  answer_gone:
    "the response recorded for this idempotency key was deleted together with its state; " +
    "send a new key to run the request again",
  not_found: "no route or item matches this path",
  method_not_allowed: "the path does not support this method; `allow` lists the supported ones",
  payload_too_large: "the body exceeds the size limit",
  unsupported_encoding: "the body is compressed",
  request_timeout: "the body did not arrive in time",
  host_not_allowed: "the `host` header names a host that this worker does not serve",
  origin_not_allowed: "the page's origin may not call this worker",
  overloaded:
    "the queue is full or the memory for requests is exhausted; retry after `retry-after` seconds",
  too_many_turns: "the key has reached its limit of concurrent turns",
  rate_limit_exceeded: "the key's requests or tokens per minute are used up; retry after " +
    "`retry-after` seconds",
  storage_limit_exceeded:
    "the key's tenant has reached its limit of stored states, conversations or bytes; delete " +
    "some, or send `store: false`",
  shutting_down: "the worker is shutting down; retry after `retry-after` seconds",
  not_ready: "the model is loading or failed to load",
  device_lost:
    "the GPU failed, and all turns running on it were lost; retry after `retry-after` seconds",
  insufficient_memory: "the model does not fit into memory",
  store_unavailable: "the state store is unavailable; retry after `retry-after` seconds",
  invalid_checkpoint: "the model file is invalid or cannot be read",
  invalid_vocabulary: "the vocabulary file is invalid or cannot be read",
  numeric_fault:
    "the model produced NaN or infinite logits because this state has diverged; resume from " +
    "another state",
  usage: "a command or a flag is invalid",
  file_error: "a file cannot be read or written",
  no_adapter: "no usable GPU adapter was found",
  hub_error: "the model hub is unreachable or rejected the request",
};

/** Structured details of an error, beyond its message. */
export interface InferenceErrorOptions extends ErrorOptions {
  /** HTTP status that replaces the default of the code. */
  status?: number | undefined;
  /** The request field, flag or file that the message is about. */
  param?: string | undefined;
  /** Seconds after which the client should retry. */
  retryAfter?: number | undefined;
  /** State with the partial result, if one was saved. */
  stateId?: string | undefined;
  /** Cause of an engine failure; the engine is unusable after it. */
  fault?: FaultKind | undefined;
  /** Limit that the request exceeds. */
  limit?: LimitKind | undefined;
}

/** A failure the caller can act on. The message names the subject, its value and the remedy. */
export class InferenceError extends Error {
  /** Identifies the class where `instanceof` does not work, such as across realms. */
  override readonly name = "InferenceError";
  /** The request field, flag or file that the message is about. */
  readonly param: string | undefined;
  /** Seconds after which the client should retry. */
  readonly retryAfter: number | undefined;
  /** State with the partial result, if one was saved. */
  readonly stateId: string | undefined;
  /** Cause of an engine failure; the engine is unusable after it. */
  readonly fault: FaultKind | undefined;
  /** Limit that the request exceeds. */
  readonly limit: LimitKind | undefined;
  /** Status of the HTTP response that reports the error. */
  readonly status: number;

  /** Creates an error. Callers decide by `code`; `message` is for people. */
  constructor(readonly code: ErrorCode, message: string, options: InferenceErrorOptions = {}) {
    super(message, options);
    this.param = options.param;
    this.retryAfter = options.retryAfter;
    this.stateId = options.stateId;
    this.fault = options.fault;
    this.limit = options.limit;
    this.status = options.status ?? ERROR_STATUS[code];
  }
}
