/** Where a turn goes on from and how long it is: fields that chat and text completions share. */

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

/** Replies to one prompt at most. */
const MAX_CHOICES = 16;

/** Ten years: a longer time is as good as none. */
const MAX_TTL_SECONDS = 10 * 366 * 24 * 3600;

const conversation = z.union(
  [z.string(), z.object({ id: conversationId }).transform(({ id }) => id)],
  { error: "expected an id, or an object with one" },
);

export const generationFields = {
  model: modelId.nullish().openapi({
    description: "The id that `/v1/models` lists, or `default`; anything else is 404 " +
      "`model_not_found`. The one that runs, unless given or where it is empty.",
    example: "default",
  }),
  state_id: stateId.nullish().openapi({
    description: "The state that is resumed; the request then holds only what is new.",
  }),
  conversation: conversation.nullish().openapi({
    description: "An id, or an object with it: resumes the conversation where it stands, and " +
      "moves it on. Not together with `state_id`.",
    example: EXAMPLE_CONVERSATION,
  }),
  on_mismatch: z.enum(["error", "reread"]).nullish().openapi({
    description: "What happens to a state of another model: it is refused (`error`, unless " +
      "given), or read again from its transcript (`reread`).",
    example: "reread",
  }),
  state_ttl: z.int().min(60).max(MAX_TTL_SECONDS).nullish().openapi({
    description: "Seconds that the new state lasts after its last use; the worker's own unless " +
      "given.",
    example: 86_400,
  }),
  store: z.boolean().nullish().openapi({
    description: "`false`: nothing of this turn is kept, neither state nor text nor, under an " +
      "`Idempotency-Key`, its answer; `state_id` is null. Not in a conversation. `true` unless given.",
    example: true,
  }),
  stream: z.boolean().nullish().openapi({
    description: "Whether the reply comes as server-sent events, `[DONE]` at the end.",
    example: false,
  }),
  stream_options: z.object({
    include_usage: z.boolean().nullish().openapi({
      description: "Whether a chunk with the usage comes before `[DONE]`.",
      example: true,
    }),
  }).nullish().openapi({ description: "Of streams." }),
  max_tokens: tokenLimit.nullish().openapi({
    description: "Tokens to write at most; 512 unless given, or where it is -1.",
    example: 256,
  }),
  ignore_eos: z.boolean().nullish().openapi({
    description:
      "Whether the reply goes on behind the end of the text and behind empty lines, to " +
      "`max_tokens` or a stop string. Not with a form. `false` unless given.",
    example: true,
  }),
  min_tokens: z.int().min(0).nullish().openapi({
    description:
      "Tokens to write at least; above 0 only with `ignore_eos`, without `stop`, and not " +
      "above `max_tokens`. 0 unless given.",
    example: 0,
  }),
  n: z.int().min(1).max(MAX_CHOICES).nullish().openapi({
    description: "Choices, each with a `state_id` of its own. The prompt is read once for all. " +
      "The first one is that which `n` 1 would give, the next ones have the seeds after it.",
    example: 1,
  }),
  ...samplingFields,
};

type TurnBody = z.infer<z.ZodObject<typeof generationFields>>;

/** A request to write, whatever it writes on. */
export interface CompletionParams {
  /** As the client calls it; `undefined` leaves it to the worker. */
  model: string | undefined;
  stream: boolean;
  includeUsage: boolean;
  /** Replies to write, each with a state of its own. */
  choiceCount: number;
  turn: TurnRequest;
}

/**
 * @param own What this kind of request says besides.
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
  assertLength(request.min_tokens ?? 0, turn);
  return {
    model: request.model ?? undefined,
    stream,
    choiceCount: request.n ?? 1,
    includeUsage: stream && (request.stream_options?.include_usage ?? false),
    turn,
  };
}

/** @throws InferenceError `unsupported_value` for a length that may not be reached */
function assertLength(
  min: number,
  { ignoreEos: endless, stop, maxTokens = DEFAULT_LIMITS.defaultMaxTokens }: TurnRequest,
): void {
  if (min === 0 || endless && stop === undefined && min <= maxTokens) return;
  throw new InferenceError(
    "unsupported_value",
    `min_tokens: ${min} tokens at least are supported only with ignore_eos: true, without stop, ` +
      `and with max_tokens (here ${maxTokens}) as large; send these, or leave it out`,
    { param: "min_tokens" },
  );
}

/** @throws InferenceError `invalid_value` for what is to be in a conversation and not to be stored */
export function assertConversationStored(
  { store, conversation }: Pick<TurnBody, "store" | "conversation">,
): void {
  if (store !== false || conversation === null || conversation === undefined) return;
  const message = "store: false is asked for, and a conversation can only be moved on to what is " +
    "stored";
  throw new InferenceError("invalid_value", message, { param: "store" });
}
