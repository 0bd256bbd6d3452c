/**
 * The one error class of the project. Its code is part of the API: routes turn it into a status
 * and an OpenAI error object, the command line into an exit status. Anything else that is thrown
 * is a bug: it answers 500 and never shows its text.
 */

/** What went wrong, by the name that the API documents. */
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
 * What has failed of an engine: its device is gone, has no memory, refuses a shader or other work,
 * computes no numbers, or does not answer; or the Worker that it lives in has ended, or its model
 * could not be loaded again.
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

/** What is bounded for a key: by the minute, of one request, and of what its tenant has stored. */
export type LimitKind =
  | "requests"
  | "tokens"
  | "prompt_tokens"
  | "states"
  | "conversations"
  | "bytes";

/** All that is bounded. */
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

/** When every error comes about, for those who read the API's documentation. */
export const ERROR_DESCRIPTIONS: Readonly<Record<ErrorCode, string>> = {
  invalid_api_key: "the worker wants a key, and none was sent, or one that it does not take",
  invalid_value: "a field is wrong; `param` names it",
  unsupported_value: "a field asks for what is not supported; `param` names it",
  cancelled: "the client has gone",
  context_length_exceeded: "there are more prompt tokens than one request may have",
  model_mismatch: "the state belongs to another model or vocabulary; not worth a retry",
  model_not_found: "another model is asked for than the one that runs",
  state_not_found: "there is no such state, or it was deleted, or expired long ago",
  state_expired: "the state expired within the last day",
  state_damaged: "bytes of the state are missing or differ from their checksum",
  conversation_not_found: "there is no such conversation, or it was deleted or expired",
  conversation_conflict: "the conversation has gone on elsewhere meanwhile; not worth a retry",
  response_not_found: "there is no such response, or it was deleted or expired",
  previous_response_not_found:
    "there is no such response to go on from, or it was deleted or expired",
  invalid_state_file: "a file is no state, or not as workers write them; `param` names the field",
  idempotency_key_reused: "the key was sent with another body before",
  request_in_progress: "the first request with the key is being answered; try again after " +
    "`retry-after` seconds",
  answer_gone:
    "the request with the key was answered, and the answer was deleted with its state; " +
    "send a new key to run the request again",
  not_found: "there is nothing at this path",
  method_not_allowed: "the path does not take this method; `allow` lists those that it takes",
  payload_too_large: "the body is larger than the worker takes",
  unsupported_encoding: "the body is compressed",
  request_timeout: "the body did not come in time",
  host_not_allowed: "the worker is for its own machine, and was called by another name",
  origin_not_allowed: "a page of another origin calls, which is not allowed to",
  overloaded:
    "too many turns are waiting, or too much is being sent; try again after `retry-after` seconds",
  too_many_turns: "a key has as many turns under way as it may",
  rate_limit_exceeded: "a key's requests or tokens of the minute are used up; try again after " +
    "`retry-after` seconds",
  storage_limit_exceeded:
    "a key's tenant has as many states, conversations or bytes stored as it " +
    "may; delete some, or send `store: false`",
  shutting_down: "the worker ends; try again after `retry-after` seconds",
  not_ready: "the model is loading, or could not be loaded",
  device_lost:
    "the GPU has failed, and with it the turns that it was at; nothing of them is kept, " +
    "try again after `retry-after` seconds",
  insufficient_memory: "the model does not fit into memory",
  store_unavailable: "the store of states can't be reached; try again after `retry-after` seconds",
  invalid_checkpoint: "the model's file can't be read",
  invalid_vocabulary: "the vocabulary's file can't be read",
  numeric_fault:
    "the model gave NaN or infinite logits, since this state has got out of hand; go " +
    "on from another one",
  usage: "a command or a flag is wrong",
  file_error: "a file can't be read or written",
  no_adapter: "there is no GPU adapter",
  hub_error: "a hub of models can't be reached, or refuses",
};

/** What an error tells besides its message, which it may have a cause for. */
export interface InferenceErrorOptions extends ErrorOptions {
  /** Of an HTTP answer, where it is not the one that the code has otherwise. */
  status?: number | undefined;
  /** The request field, flag or file that the message is about. */
  param?: string | undefined;
  /** Seconds after which it is worth to try again. */
  retryAfter?: number | undefined;
  /** The state that holds what was done, where something was. */
  stateId?: string | undefined;
  /** What has failed of an engine, of which nothing more is to be had. */
  fault?: FaultKind | undefined;
  /** What a key has used up, or would use too much of. */
  limit?: LimitKind | undefined;
}

/** A failure the caller can act on: the message names the thing, its value and the remedy. */
export class InferenceError extends Error {
  /** Tells it from other errors, also where `instanceof` cannot. */
  override readonly name = "InferenceError";
  /** The request field, flag or file that the message is about. */
  readonly param: string | undefined;
  /** Seconds after which it is worth to try again. */
  readonly retryAfter: number | undefined;
  /** The state that holds what was done, where something was. */
  readonly stateId: string | undefined;
  /** What has failed of an engine, of which nothing more is to be had. */
  readonly fault: FaultKind | undefined;
  /** What a key has used up, or would use too much of. */
  readonly limit: LimitKind | undefined;
  /** The status of an HTTP answer that tells of it. */
  readonly status: number;

  /** An error of a kind, which callers decide by; its message is for people. */
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
