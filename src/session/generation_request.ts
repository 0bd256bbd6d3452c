/** What a request asks of the scheduler, within this worker's limits. */

import { InferenceError } from "../core/errors.ts";
import { NEUTRAL_SAMPLING } from "../core/sampling.ts";
import type { GenerationRequest } from "../scheduler/scheduler_types.ts";
import type { Reply, TokenCodec } from "../prompt/reply.ts";
import type { SessionLimits } from "./session_limits.ts";
import type { Sampling, TurnRequest } from "./session_types.ts";
import type { TurnSnapshot } from "./turn_snapshot.ts";

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
