/** What turns are held to before they run, and how they are charged to whoever asks. */

import { InferenceError } from "../core/errors.ts";
import type { Telemetry } from "../core/telemetry.ts";
import type { Generation } from "../scheduler/scheduler_types.ts";
import { describeModel } from "./model_description.ts";
import type { TokenCodec } from "../prompt/reply.ts";
import type { SessionModel, TurnRequest } from "./session_types.ts";
import type { TurnMeter } from "./turn_meter.ts";
import { effectiveMaxTokens } from "./generation_request.ts";
import type { SessionLimits } from "./session_limits.ts";

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
