/**
 * Turns a request into a generation request for the scheduler, and enforces the limits of the
 * worker and of the caller's account.
 */

import { InferenceError } from "../core/errors.ts";
import { NEUTRAL_SAMPLING } from "../core/sampling.ts";
import type { Generation, GenerationRequest } from "../scheduler/scheduler_types.ts";
import type { Reply, TokenCodec } from "../prompt/reply.ts";
import type { SessionLimits } from "./session_limits.ts";
import type { Sampling, SessionModel, TurnRequest } from "./session_types.ts";
import { describeModel, type TurnSnapshot } from "./stored_turn.ts";
import type { Telemetry } from "../core/telemetry.ts";
import type { TurnMeter } from "./turn_meter.ts";

export interface GenerationOptions {
  /** Tenant of the turns; also their fairness key. */
  tenant: string;
  tokenizer: TokenCodec;
  limits: SessionLimits;
  /** Number of output rows of the model. */
  vocabulary: number;
  /** Default sampling parameters. */
  sampling: Partial<Sampling> | undefined;
}

/** A turn that is ready to be submitted. */
export interface PreparedTurn {
  snapshot: TurnSnapshot;
  reply: Reply;
  /** How often each token was sampled; updated during the turn. */
  counts: Map<number, number>;
  signal: AbortSignal;
}

/**
 * Builds the generation request of a turn.
 *
 * @throws InferenceError `invalid_value` for a logit bias on an unknown token
 */
export function generationRequest(
  request: TurnRequest,
  { snapshot, reply, counts, signal }: PreparedTurn,
  options: GenerationOptions,
): Omit<GenerationRequest, "state"> {
  const { tokenizer, limits } = options;
  return {
    fairnessKey: options.tenant,
    tokens: snapshot.pending,
    sampling: { ...mergeSampling(request, options), seed: snapshot.seed },
    counts,
    position: snapshot.position,
    maxTokens: effectiveMaxTokens(request, limits),
    endToken: request.ignoreEos ? null : tokenizer.endOfText,
    stops: reply.stops,
    constraint: request.constraint,
    logprobs: request.logprobs,
    timeoutMs: limits.turnSeconds * 1000,
    signal,
  };
}

/** Returns the maximum number of tokens that a turn may sample. */
export function effectiveMaxTokens(
  { maxTokens }: Pick<TurnRequest, "maxTokens">,
  limits: SessionLimits,
): number {
  return Math.min(maxTokens ?? limits.defaultMaxTokens, limits.maxTokens);
}

/**
 * Asserts that the options of a request do not contradict each other.
 *
 * @throws InferenceError `invalid_value`
 */
export function assertConsistent(
  {
    stateId,
    conversation,
    constraint,
    messages,
    continueFinalMessage,
    ignoreEos,
  }: TurnRequest,
  choices: number,
): void {
  if (constraint !== undefined && messages.length === 0) {
    throw new InferenceError(
      "invalid_value",
      "response_format: a format applies from the beginning of a reply, and messages is empty; " +
        "continue the reply without a format, or send a message",
      { param: "response_format" },
    );
  }
  if (constraint !== undefined && continueFinalMessage) {
    throw new InferenceError(
      "invalid_value",
      "response_format: a format applies from the beginning of a reply, and the reply continues " +
        "the last message, which is the assistant's; send continue_final_message: false for a " +
        "new reply, or no format",
      { param: "response_format" },
    );
  }
  if (constraint !== undefined && ignoreEos) {
    throw new InferenceError(
      "invalid_value",
      "response_format: it cannot be combined with ignore_eos, because the format determines the " +
        "end of the reply; send only one of the two",
      { param: "response_format" },
    );
  }
  if (conversation === undefined) return;
  if (stateId !== undefined) {
    throw new InferenceError(
      "invalid_value",
      "conversation: it cannot be combined with state_id; send only one of the two",
      { param: "conversation" },
    );
  }
  if (choices === 1) return;
  throw new InferenceError(
    "invalid_value",
    `n: ${choices} choices cannot continue one conversation; request one choice, or use state_id`,
    { param: "n" },
  );
}

function mergeSampling(
  request: TurnRequest,
  { sampling, vocabulary }: GenerationOptions,
): Sampling {
  const merged = { ...NEUTRAL_SAMPLING, ...sampling, ...request.sampling };
  for (const id of merged.logitBias.keys()) {
    if (id < vocabulary) continue;
    throw new InferenceError(
      "invalid_value",
      `logit_bias: token ${id} does not exist; ids are below ${vocabulary}`,
      { param: "logit_bias" },
    );
  }
  return merged;
}

/**
 * A prompt is tokenized up to this multiple of its limit, so that the error can state its length.
 */
const COUNTING_FACTOR = 2;

/** Wraps a codec that throws after `maxTokens` tokens in total. */
export function limitedCodec(
  codec: TokenCodec,
  maxTokens: number,
  createError: () => Error,
): TokenCodec {
  let left = maxTokens;
  return {
    endOfText: codec.endOfText,
    tokenBytes: (id) => codec.tokenBytes(id),
    encode: (text) => {
      const ids = codec.encode(text, left);
      left -= ids.length;
      if (left < 0) throw createError();
      return ids;
    },
  };
}

/** Limits of the prompt of one request. */
export class PromptLimits {
  readonly #request: TurnRequest;
  readonly #telemetry: Telemetry;
  readonly #maxTokens: number;

  /** Creates the limits of a request. */
  constructor(
    request: TurnRequest,
    { limits, telemetry }: { limits: SessionLimits; telemetry: Telemetry },
  ) {
    const { account, messages, prompt } = request;
    this.#request = request;
    this.#telemetry = telemetry;
    // Without a new prompt, only pending tokens of an earlier prompt are processed. That prompt
    // passed the limit when it was sent.
    const sent = messages.length > 0 || prompt !== undefined;
    this.#maxTokens = sent
      ? account?.promptTokenLimit(limits.promptTokens) ?? limits.promptTokens
      : Infinity;
  }

  /**
   * Asserts that the prompt is within its limits.
   *
   * @param tokens Number of tokens that the model processes for the request.
   * @throws InferenceError `context_length_exceeded`, or `rate_limit_exceeded` from the account
   */
  assertWithinLimit(tokens: number): void {
    if (tokens > this.#maxTokens) throw this.#tooLong(`${tokens}`);
    this.#request.account?.assertTokensLeft(tokens);
  }

  /**
   * Wraps a codec for tokenizing the prompt once. It throws early if the prompt is far too long.
   */
  limitCodec(codec: TokenCodec): TokenCodec {
    const maxTokens = COUNTING_FACTOR * this.#maxTokens;
    return limitedCodec(codec, maxTokens, () => this.#tooLong(`more than ${maxTokens}`));
  }

  #tooLong(tokens: string): InferenceError {
    this.#telemetry.limitExceeded("prompt_tokens");
    const param = this.#request.prompt === undefined ? "messages" : "prompt";
    return new InferenceError(
      "context_length_exceeded",
      `${param}: the prompt has ${tokens} tokens, the limit of a request is ${this.#maxTokens}; ` +
        "send it in parts, resuming with state_id",
      { param, limit: "prompt_tokens" },
    );
  }
}

/**
 * Asserts that the log probabilities to buffer until the end of a reply are within the limit.
 *
 * @throws InferenceError `invalid_value`
 */
export function assertLogprobsFit(
  request: TurnRequest,
  choices: number,
  limits: SessionLimits,
): void {
  const { logprobs, stream, logprobsAtEnd = !stream } = request;
  if (logprobs === undefined || !logprobsAtEnd) return;
  const tokens = effectiveMaxTokens(request, limits);
  const count = choices * tokens * (logprobs + 1);
  if (count <= limits.logprobs) return;
  throw new InferenceError(
    "invalid_value",
    `logprobs: ${choices} x ${tokens} tokens with ${
      logprobs + 1
    } log probabilities each are ${count}, ` +
      `the limit of a request is ${limits.logprobs}; request fewer choices, tokens or ` +
      `top_logprobs${stream ? "" : ", or stream a completion"}`,
    { param: "logprobs" },
  );
}

/**
 * Returns the maximum number of tokens of a choice whose log probabilities may wait for a slow
 * client.
 */
export function maxUnreadTokens(
  { logprobs = 0 }: TurnRequest,
  choices: number,
  limits: SessionLimits,
): number {
  return Math.ceil(limits.logprobs / choices / (logprobs + 1));
}

/**
 * Reserves storage for the states of turns. Returns a function that releases the reservation.
 *
 * @throws InferenceError `storage_limit_exceeded` from the account
 */
export async function reserveStorage(
  { account, store = true }: TurnRequest,
  choices: number,
  model: SessionModel,
): Promise<() => void> {
  if (account === undefined || !store) return () => {};
  return await account.reserveStorage(choices, choices * describeModel(model).storedBytes);
}

/**
 * Charges turns for their shared prompt and for the tokens that they generate. Refunds prompt
 * tokens that were not processed because the turns were cancelled.
 */
export function chargeTurns(
  { account }: TurnRequest,
  turns: readonly { snapshot: { pending: readonly number[] }; meter: TurnMeter }[],
  [reader]: readonly Generation[],
): void {
  const charge = account?.charge(turns[0].snapshot.pending.length);
  if (charge === undefined) return;
  for (const { meter } of turns) meter.setCharge(charge);
  reader.finished.then(({ sampledTokens, pendingTokens }) => {
    if (sampledTokens === 0) charge.refund(pendingTokens.length);
  }, () => {}); // after an engine failure the number of processed tokens is unknown
}
