/** What a request asks of the scheduler, within this worker's limits. */

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
  /** Whose turns these are. */
  tenant: string;
  tokenizer: TokenCodec;
  limits: SessionLimits;
  /** Rows of the head. */
  vocabulary: number;
  /** Sampling where the request does not say. */
  sampling: Partial<Sampling> | undefined;
}

/** A turn as it begins. */
export interface TurnStart {
  snapshot: TurnSnapshot;
  reply: Reply;
  /** How often each token was sampled so far; changed as the turn goes on. */
  counts: Map<number, number>;
  signal: AbortSignal;
}

/** @throws InferenceError `invalid_value` for a bias on what is no token */
export function generationRequest(
  request: TurnRequest,
  { snapshot: plan, reply, counts, signal }: TurnStart,
  options: GenerationOptions,
): Omit<GenerationRequest, "state"> {
  const { tokenizer, limits } = options;
  return {
    fairnessKey: options.tenant,
    tokens: plan.pending,
    sampling: { ...samplingOf(request, options), seed: plan.seed },
    counts,
    position: plan.position,
    maxTokens: effectiveMaxTokens(request, limits),
    endToken: request.ignoreEos ? null : tokenizer.endOfText,
    stops: reply.stops,
    constraint: request.constraint,
    logprobs: request.logprobs,
    timeoutMs: limits.turnSeconds * 1000,
    signal,
  };
}

/** Tokens that a turn samples at most. */
export function effectiveMaxTokens(
  { maxTokens }: Pick<TurnRequest, "maxTokens">,
  limits: SessionLimits,
): number {
  return Math.min(maxTokens ?? limits.defaultMaxTokens, limits.maxTokens);
}

/** @throws InferenceError `invalid_value` for a request that contradicts itself */
export function assertConsistent(
  {
    stateId,
    conversation,
    constraint,
    messages,
    continueFinalMessage: prefill,
    ignoreEos: endless,
  }: TurnRequest,
  choices: number,
): void {
  if (constraint !== undefined && messages.length === 0) {
    throw new InferenceError(
      "invalid_value",
      "response_format: what a reply must be is held from its beginning on, and messages is " +
        "empty; let it go on without, or send a message",
      { param: "response_format" },
    );
  }
  if (constraint !== undefined && prefill) {
    throw new InferenceError(
      "invalid_value",
      "response_format: what a reply must be is held from its beginning on, and the last of " +
        "messages is the assistant's, which the reply continues; send continue_final_message: " +
        "false for a new reply, or no format",
      { param: "response_format" },
    );
  }
  if (constraint !== undefined && endless) {
    throw new InferenceError(
      "invalid_value",
      "response_format: ignore_eos is true as well, and a reply with a form ends with it; leave " +
        "one of the two out",
      { param: "response_format" },
    );
  }
  if (conversation === undefined) return;
  if (stateId !== undefined) {
    throw new InferenceError(
      "invalid_value",
      "conversation: state_id is given as well; a turn goes on from one of the two",
      { param: "conversation" },
    );
  }
  if (choices === 1) return;
  throw new InferenceError(
    "invalid_value",
    `n: ${choices} choices are asked for, and a conversation can go on with one only`,
    { param: "n" },
  );
}

function samplingOf(request: TurnRequest, { sampling, vocabulary }: GenerationOptions): Sampling {
  const wanted = { ...NEUTRAL_SAMPLING, ...sampling, ...request.sampling };
  for (const id of wanted.logitBias.keys()) {
    if (id < vocabulary) continue;
    throw new InferenceError(
      "invalid_value",
      `logit_bias: token ${id} does not exist, ids are below ${vocabulary}`,
      { param: "logit_bias" },
    );
  }
  return wanted;
}

/** Times that a prompt may be too long for its tokens to be counted to the end. */
const COUNTED = 2;

/** A codec that encodes so many tokens in all, and throws where there are more. */
export function limitedCodec(codec: TokenCodec, most: number, tooMany: () => Error): TokenCodec {
  let left = most;
  return {
    endOfText: codec.endOfText,
    tokenBytes: (id) => codec.tokenBytes(id),
    encode: (text) => {
      const ids = codec.encode(text, left);
      left -= ids.length;
      if (left < 0) throw tooMany();
      return ids;
    },
  };
}

/** What one request may give to read. */
export class PromptLimits {
  readonly #request: TurnRequest;
  readonly #telemetry: Telemetry;
  readonly #most: number;

  /** Of a request, within a worker's limits. */
  constructor(
    request: TurnRequest,
    { limits, telemetry }: { limits: SessionLimits; telemetry: Telemetry },
  ) {
    const { account, messages, prompt } = request;
    this.#request = request;
    this.#telemetry = telemetry;
    // What is left of a prompt that fitted once is read without being sent again.
    const sent = messages.length > 0 || prompt !== undefined;
    this.#most = sent
      ? account?.promptTokenLimit(limits.promptTokens) ?? limits.promptTokens
      : Infinity;
  }

  /**
   * @param tokens All that the model is to read for the request.
   * @throws InferenceError `context_length_exceeded`, or `rate_limit_exceeded` by the turn's account
   */
  assertWithinLimit(tokens: number): void {
    if (tokens > this.#most) throw this.#tooLong(`${tokens}`);
    this.#request.account?.assertTokensLeft(tokens);
  }

  /**
   * A codec for the prompt, once: it gives up where that is too long by far, and does not look at
   * the rest.
   */
  limitCodec(codec: TokenCodec): TokenCodec {
    const most = COUNTED * this.#most;
    return limitedCodec(codec, most, () => this.#tooLong(`more than ${most}`));
  }

  #tooLong(tokens: string): InferenceError {
    this.#telemetry.limitExceeded("prompt_tokens");
    const param = this.#request.prompt === undefined ? "messages" : "prompt";
    return new InferenceError(
      "context_length_exceeded",
      `${param}: the prompt has ${tokens} tokens, one request may have at most ${this.#most}; ` +
        "send it in parts, resuming with state_id",
      { param, limit: "prompt_tokens" },
    );
  }
}

/**
 * Asserts that the probabilities of a reply that are to be held until its end are not too many.
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
    } probabilities each are ${count}, ` +
      `and at most ${limits.logprobs} are held for one request; ask for fewer choices, tokens or ` +
      `top_logprobs${stream ? "" : ", or stream a completion"}`,
    { param: "logprobs" },
  );
}

/** Tokens of each choice whose probabilities may wait for the client of a stream to read them. */
export function maxUnreadTokens(
  { logprobs = 0 }: TurnRequest,
  choices: number,
  limits: SessionLimits,
): number {
  return Math.ceil(limits.logprobs / choices / (logprobs + 1));
}

/**
 * Holds room for what turns are going to store; what is returned lets go of it.
 *
 * @throws InferenceError `storage_limit_exceeded` by the turns' account
 */
export async function reserveStorage(
  { account, store: keep = true }: TurnRequest,
  choices: number,
  model: SessionModel,
): Promise<() => void> {
  if (account === undefined || !keep) return () => {};
  return await account.reserveStorage(choices, choices * describeModel(model).storedBytes);
}

/**
 * Charges turns for the prompt that they have in common, and for what they write; what of the prompt
 * is not read after all, since they were left, is given back.
 */
export function chargeTurns(
  { account }: TurnRequest,
  turns: readonly { snapshot: { pending: readonly number[] }; meter: TurnMeter }[],
  [reader]: readonly Generation[],
): void {
  const charge = account?.charge(turns[0].snapshot.pending.length);
  if (charge === undefined) return;
  for (const { meter } of turns) meter.setCharge(charge);
  reader.finished.then(({ sampledTokens: sampled, pendingTokens: pending }) => {
    if (sampled === 0) charge.refund(pending.length);
  }, () => {}); // what an engine that fails has read is not known
}
