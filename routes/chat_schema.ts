/** What `POST /v1/chat/completions` takes, and what it becomes for a session. */

import { z } from "@hono/zod-openapi";
import type { TurnRequest } from "../src/session/session_types.ts";
import { conversationId, EXAMPLE_CONVERSATION, modelId, stateId } from "./ids_schema.ts";
import { messageSchema } from "./message_schema.ts";
import { samplingFields, samplingOf, seedOf, stopsOf } from "./sampling_schema.ts";
import { assertSupported, documented, type UnsupportedFields } from "./unsupported.ts";

/** Replies to one prompt at most. */
const MAX_CHOICES = 16;

/** Ten years: a longer time is as good as none. */
const MAX_TTL_SECONDS = 10 * 366 * 24 * 3600;

const isFalse = z.literal(false);
const isEmpty = z.array(z.unknown()).max(0);
const isNone = z.enum(["none", "auto"]);

/** Fields that are understood and cannot be served, with the values that ask for nothing. */
const UNSUPPORTED = {
  logprobs: { takes: isFalse, message: "log probabilities are not supported" },
  top_logprobs: { takes: z.literal(0), message: "log probabilities are not supported" },
  tools: { takes: isEmpty, message: "tools are not supported" },
  functions: { takes: isEmpty, message: "functions are not supported" },
  tool_choice: { takes: isNone, message: "tools are not supported" },
  function_call: { takes: isNone, message: "functions are not supported" },
  response_format: {
    takes: z.looseObject({
      type: z.literal("text").meta({ description: "Plain text.", example: "text" }),
    }),
    message: 'only {"type":"text"} is supported',
  },
  modalities: { takes: z.array(z.literal("text")), message: 'only ["text"] is supported' },
  audio: { takes: z.null(), message: "audio is not supported" },
} satisfies UnsupportedFields;

const conversation = z.union(
  [z.string(), z.object({ id: conversationId }).transform(({ id }) => id)],
  { error: "expected an id, or an object with one" },
);

const maxTokens = z.int().min(1).nullish();

export const chatSchema = z.object({
  model: modelId.nullish().openapi({
    description: "The id that `/v1/models` lists, or `default`; anything else is 404 " +
      "`model_not_found`. The one that runs, unless given.",
    example: "default",
  }),
  messages: z.array(messageSchema).nullish().openapi({
    description: "The conversation; what is new of it, where a state or a conversation goes on; " +
      "empty to let an open reply go on.",
    example: [{ role: "user", content: "Hello" }],
  }),
  state_id: stateId.nullish().openapi({
    description: "The state that is resumed; `messages` then hold only what is new.",
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
  max_tokens: maxTokens.openapi({
    description: "Tokens to write at most; 512 unless given.",
    example: 256,
  }),
  max_completion_tokens: maxTokens.openapi({
    description: "The same as `max_tokens`, and goes before it.",
    example: 256,
  }),
  n: z.int().min(1).max(MAX_CHOICES).nullish().openapi({
    description: "Choices, each with a `state_id` of its own. The prompt is read once for all. " +
      "The first one is that which `n` 1 would give, the next ones have the seeds after it.",
    example: 1,
  }),
  ...samplingFields,
  ...documented(UNSUPPORTED),
}, { error: "expected a JSON object" }).openapi("ChatCompletionRequest", {
  example: { model: "default", messages: [{ role: "user", content: "Hello" }], max_tokens: 64 },
});

export type ChatBody = z.infer<typeof chatSchema>;

export interface ChatRequest {
  /** As the client calls it; `undefined` leaves it to the worker. */
  model: string | undefined;
  stream: boolean;
  includeUsage: boolean;
  /** Replies to write, each with a state of its own. */
  choices: number;
  turn: TurnRequest;
}

/** @throws InferenceError `unsupported_value`, naming the field */
export function chatRequest(request: ChatBody): ChatRequest {
  assertSupported(request, UNSUPPORTED);
  const stream = request.stream ?? false;
  return {
    model: request.model ?? undefined,
    stream,
    choices: request.n ?? 1,
    includeUsage: stream && (request.stream_options?.include_usage ?? false),
    turn: {
      messages: request.messages ?? [],
      stateId: request.state_id ?? undefined,
      conversation: request.conversation ?? undefined,
      reread: request.on_mismatch === "reread",
      ttl: typeof request.state_ttl === "number" ? 1000 * request.state_ttl : undefined,
      maxTokens: request.max_completion_tokens ?? request.max_tokens ?? undefined,
      stop: stopsOf(request),
      sampling: samplingOf(request),
      seed: seedOf(request),
      stream,
    },
  };
}
