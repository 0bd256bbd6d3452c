/** Fields that chat and text completions share: the resumed state, limits and streaming. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";
import type { TurnRequest } from "../../src/session/session_types.ts";
import { conversationId, EXAMPLE_CONVERSATION, modelId, stateId } from "../openapi/ids_schema.ts";
import {
  samplingFields,
  samplingOf,
  seedOf,
  stopsOf,
  tokenLimit,
  tokenLimitOf,
} from "./sampling_schema.ts";
import { DEFAULT_LIMITS } from "../../src/session/session_limits.ts";

/** Maximum of `n`. */
const MAX_CHOICES = 16;

/** Maximum lifetime of a state: ten years. */
const MAX_TTL_SECONDS = 10 * 366 * 24 * 3600;

const conversation = z.union(
  [z.string(), z.object({ id: conversationId }).transform(({ id }) => id)],
  { error: "expected an id, or an object with one" },
);

export const generationFields = {
  model: modelId.nullish().openapi({
    description: "The model's id from `/v1/models`, or `default`; any other name returns 404 " +
      "`model_not_found`. Default, and for an empty string: the running model.",
    example: "default",
  }),
  state_id: stateId.nullish().openapi({
    description: "The state to resume. The request then contains only new messages.",
  }),
  conversation: conversation.nullish().openapi({
    description: "A conversation id, or an object with one. The turn resumes the conversation's " +
      "current state and advances it. Mutually exclusive with `state_id`.",
    example: EXAMPLE_CONVERSATION,
  }),
  on_mismatch: z.enum(["error", "reread"]).nullish().openapi({
    description:
      "Handling of a state of another model: `error` rejects it, `reread` reprocesses its " +
      "transcript. Default: `error`.",
    example: "reread",
  }),
  state_ttl: z.int().min(60).max(MAX_TTL_SECONDS).nullish().openapi({
    description:
      "Lifetime of the new state after its last use, in seconds. Default: the worker's " +
      "setting.",
    example: 86_400,
  }),
  store: z.boolean().nullish().openapi({
    description:
      "With `false`, the worker stores nothing: no state, no text, and no response for an " +
      "`Idempotency-Key`; `state_id` is null. Not allowed in a conversation. Default: `true`.",
    example: true,
  }),
  stream: z.boolean().nullish().openapi({
    description: "Whether to stream the reply as server-sent events, terminated by `[DONE]`.",
    example: false,
  }),
  stream_options: z.object({
    include_usage: z.boolean().nullish().openapi({
      description: "Whether to send a chunk with the usage before `[DONE]`.",
      example: true,
    }),
  }).nullish().openapi({ description: "Options for streaming." }),
  max_tokens: tokenLimit.nullish().openapi({
    description: "Maximum number of tokens to generate. Default: 512; -1 selects the default.",
    example: 256,
  }),
  ignore_eos: z.boolean().nullish().openapi({
    description:
      "Whether to continue after the end-of-text token and after empty lines, up to `max_tokens` " +
      "or a stop string. Not supported with structured output. Default: `false`.",
    example: true,
  }),
  min_tokens: z.int().min(0).nullish().openapi({
    description:
      "Minimum number of tokens to generate. Values above 0 require `ignore_eos`, no `stop`, and " +
      "`max_tokens` of at least this value. Default: 0.",
    example: 0,
  }),
  n: z.int().min(1).max(MAX_CHOICES).nullish().openapi({
    description: "Number of choices, each with its own `state_id`. The prompt is processed once. " +
      "The first choice is the same as with `n: 1`; the others use the seeds that follow.",
    example: 1,
  }),
  ...samplingFields,
};

type TurnBody = z.infer<z.ZodObject<typeof generationFields>>;

/** A validated completion request, of chat or text. */
export interface CompletionParams {
  /** The requested model; `undefined` for the running one. */
  model: string | undefined;
  stream: boolean;
  includeUsage: boolean;
  /** Number of replies, each with its own state. */
  choiceCount: number;
  turn: TurnRequest;
}

/**
 * Converts the shared fields of a request.
 *
 * @param own Values specific to this kind of request.
 * @throws InferenceError `invalid_value`
 */
export function completionParams(
  request: TurnBody,
  own: Pick<TurnRequest, "messages"> & Partial<TurnRequest>,
): CompletionParams {
  const stream = request.stream ?? false;
  assertConversationStored(request);
  const turn: TurnRequest = {
    stateId: request.state_id ?? undefined,
    conversation: request.conversation ?? undefined,
    reprocess: request.on_mismatch === "reread",
    store: request.store ?? true,
    ttl: typeof request.state_ttl === "number" ? 1000 * request.state_ttl : undefined,
    maxTokens: tokenLimitOf(request.max_tokens),
    ignoreEos: request.ignore_eos ?? undefined,
    stop: stopsOf(request),
    sampling: samplingOf(request),
    seed: seedOf(request),
    stream,
    ...own,
  };
  assertMinTokens(request.min_tokens ?? 0, turn);
  return {
    model: request.model ?? undefined,
    stream,
    choiceCount: request.n ?? 1,
    includeUsage: stream && (request.stream_options?.include_usage ?? false),
    turn,
  };
}

/** @throws InferenceError `unsupported_value` if the minimum length is not guaranteed */
function assertMinTokens(
  min: number,
  { ignoreEos: endless, stop, maxTokens = DEFAULT_LIMITS.defaultMaxTokens }: TurnRequest,
): void {
  if (min === 0 || endless && stop === undefined && min <= maxTokens) return;
  throw new InferenceError(
    "unsupported_value",
    `min_tokens: ${min} is supported only with ignore_eos: true, without stop, and with max_tokens ` +
      `(${maxTokens}) of at least that value; change these, or omit min_tokens`,
    { param: "min_tokens" },
  );
}

/** @throws InferenceError `invalid_value` for `store: false` in a conversation */
export function assertConversationStored(
  { store, conversation }: Pick<TurnBody, "store" | "conversation">,
): void {
  if (store !== false || conversation === null || conversation === undefined) return;
  const message =
    "store: false is not allowed in a conversation, which needs a stored state; omit store";
  throw new InferenceError("invalid_value", message, { param: "store" });
}
