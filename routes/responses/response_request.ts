/** Requests of `POST /v1/responses`, and their conversion to turn requests. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";
import type { TranscriptEntry } from "../../src/prompt/chat_template.ts";
import type { TurnRequest } from "../../src/session/session_types.ts";
import { metadata } from "../conversations/conversation_schema.ts";
import { conversationId, EXAMPLE_CONVERSATION, modelId } from "../openapi/ids_schema.ts";
import { inputItem, transcriptEntriesOf, transcriptEntryOf } from "./input_items.ts";
import type { Item } from "./item_schema.ts";
import { itemOf, newMessageId } from "./items.ts";
import { topLogprobs } from "../generation/logprobs_schema.ts";
import { previousStateId } from "./response_ids.ts";
import { textConstraint, type TextFormat, textFormat } from "../generation/response_format.ts";
import { responseId, type ResponseObject } from "./response_schema.ts";
import {
  samplingFields,
  samplingOf,
  seedOf,
  stopsOf,
  tokenLimit,
  tokenLimitOf,
} from "../generation/sampling_schema.ts";
import { assertConversationStored } from "../generation/generation_schema.ts";
import {
  assertSupported,
  documentedFields,
  type UnsupportedFields,
} from "../generation/unsupported_fields.ts";

const isEmpty = z.array(z.unknown()).max(0);

/** Known fields that are not supported, with the values that have no effect. */
const UNSUPPORTED = {
  tools: { accepts: isEmpty, message: "tools are not supported" },
  tool_choice: { accepts: z.enum(["none", "auto"]), message: "tools are not supported" },
  background: { accepts: z.literal(false), message: "background responses are not supported" },
  prompt: { accepts: z.null(), message: "stored prompts are not supported" },
  reasoning: {
    accepts: z.looseObject({
      effort: z.literal("none").nullish().meta({ description: "Not supported.", example: null }),
      summary: z.null().optional().meta({ description: "Not supported.", example: null }),
    }),
    message: "reasoning is not supported",
  },
} satisfies UnsupportedFields;

const LOGPROBS = "message.output_text.logprobs";

export const responseRequestSchema = z.object({
  model: modelId.nullish().openapi({
    description: "The model's id from `/v1/models`, or `default`. Default, and for an empty " +
      "string: the running model.",
    example: "default",
  }),
  input: z.union([z.string(), z.array(inputItem)], {
    error: "expected a string or a list of messages",
  }).nullish().openapi({
    description:
      "The new input: a user message as a string, or messages. Empty to continue an `incomplete` " +
      "response.",
    example: "Hello",
  }),
  instructions: z.string().nullish().openapi({
    description: "A system message before the input. It applies only to this response, not to " +
      "later ones.",
    example: "Answer briefly.",
  }),
  previous_response_id: responseId.nullish().openapi({
    description: "The response to continue. It may have been created on any worker.",
  }),
  conversation: z.union(
    [z.string(), z.object({ id: conversationId }).transform(({ id }) => id)],
    { error: "expected an id, or an object with one" },
  ).nullish().openapi({
    description: "A conversation id, or an object with one. The response continues the " +
      "conversation and advances it. Mutually exclusive with `previous_response_id`.",
    example: EXAMPLE_CONVERSATION,
  }),
  store: z.boolean().nullish().openapi({
    description: "Whether to store the response, so that it can be retrieved and continued. " +
      "Default: true.",
    example: true,
  }),
  stream: z.boolean().nullish().openapi({
    description: "Whether to stream the response as server-sent events.",
    example: false,
  }),
  max_output_tokens: tokenLimit.nullish().openapi({
    description: "Maximum number of tokens to generate. Default: 512; -1 selects the default.",
    example: 256,
  }),
  include: z.array(
    z.enum([LOGPROBS, "reasoning.encrypted_content"], {
      error: `only ${LOGPROBS} can be included`,
    }),
  ).nullish().openapi({
    description: `\`${LOGPROBS}\`: log probabilities of the reply's tokens. ` +
      "`reasoning.encrypted_content` is accepted without effect.",
    example: [LOGPROBS],
  }),
  top_logprobs: topLogprobs.nullish().openapi({
    description: "Number of most probable tokens to return at each position. A value above 0 " +
      `implies \`${LOGPROBS}\`. The token limit times (this value + 1) must not exceed 200,000, ` +
      "even in a stream, because its last event contains all of them.",
    example: 0,
  }),
  truncation: z.enum(["auto", "disabled"]).nullish().openapi({
    description: "Accepted without effect, because a recurrent state has no context limit.",
    example: "disabled",
  }),
  text: z.object({
    format: textFormat.nullish().openapi({
      description: "Format of the reply: any text, any JSON object, or JSON that matches a schema.",
      example: { type: "text" },
    }),
  }).nullish().openapi({ description: "Options for the text of the reply." }),
  metadata: metadata.nullish(),
  user: z.string().nullish().openapi({
    description: "Echoed in the response without effect.",
    example: "user_1",
  }),
  parallel_tool_calls: z.boolean().nullish().openapi({
    description: "Echoed in the response without effect.",
    example: true,
  }),
  ...samplingFields,
  ...documentedFields(UNSUPPORTED),
}, { error: "expected a JSON object" }).openapi("ResponseRequest", {
  example: { model: "default", input: "Hello", max_output_tokens: 64 },
});

export type ResponseBody = z.infer<typeof responseRequestSchema>;

/** The part of a request that is stored with the response, to rebuild the response object. */
export interface ResponseRequestRecord {
  /** Id of the output message. */
  message: string;
  input: readonly Item[];
  /** Fields of the response that echo the request. */
  given: EchoedFields;
}

export type EchoedFields = Pick<
  ResponseObject,
  | "conversation"
  | "instructions"
  | "max_output_tokens"
  | "metadata"
  | "model"
  | "parallel_tool_calls"
  | "previous_response_id"
  | "store"
  | "temperature"
  | "text"
  | "tool_choice"
  | "top_logprobs"
  | "top_p"
  | "truncation"
  | "user"
>;

/**
 * Converts a request to a turn request.
 *
 * @param model Id of the running model.
 * @throws InferenceError `unsupported_value` or `invalid_value`, naming the field
 */
export function responseRequest(
  body: ResponseBody,
  model: string,
): { turn: TurnRequest; note: ResponseRequestRecord } {
  assertSupported(body, UNSUPPORTED);
  assertConsistent(body);
  const messages = messagesOf(body);
  const { instructions = null, conversation = null, stream, metadata } = body;
  const previous = body.previous_response_id ?? null;
  const store = body.store ?? true;
  const format: TextFormat = body.text?.format ?? { type: "text" };
  const note: ResponseRequestRecord = {
    message: newMessageId(),
    input: messages.map((message) => itemOf(newMessageId(), message)),
    given: {
      conversation: conversation === null ? null : { id: conversation },
      instructions: instructions === "" ? null : instructions,
      max_output_tokens: tokenLimitOf(body.max_output_tokens) ?? null,
      metadata: metadata ?? {},
      model,
      parallel_tool_calls: body.parallel_tool_calls ?? true,
      previous_response_id: previous,
      store,
      temperature: body.temperature ?? 1,
      text: { format },
      tool_choice: body.tool_choice === "none" ? "none" : "auto",
      top_logprobs: body.top_logprobs ?? 0,
      top_p: body.top_p ?? 1,
      truncation: body.truncation ?? "disabled",
      user: body.user ?? null,
    },
  };
  return {
    note,
    turn: {
      messages,
      stateId: previous === null ? undefined : previousStateId(previous),
      conversation: conversation ?? undefined,
      instructions: note.given.instructions,
      constraint: textConstraint(format) ?? undefined,
      maxTokens: tokenLimitOf(body.max_output_tokens),
      stop: stopsOf(body),
      sampling: samplingOf(body),
      seed: seedOf(body),
      logprobs: logprobsOf(body),
      // The last events of a stream contain the whole message.
      logprobsAtEnd: true,
      stream: stream ?? false,
      store: store,
      note,
    },
  };
}

function logprobsOf({ include, top_logprobs }: ResponseBody): number | undefined {
  return top_logprobs || (include?.includes(LOGPROBS) ? 0 : undefined);
}

function messagesOf({ input }: ResponseBody): TranscriptEntry[] {
  if (typeof input === "string") {
    return input === "" ? [] : [transcriptEntryOf("input", "user", input)];
  }
  return transcriptEntriesOf(input ?? [], "input");
}

function assertConsistent({ conversation, previous_response_id, store }: ResponseBody): void {
  assertConversationStored({ conversation, store });
  if ((conversation ?? null) === null) return;
  const param = "conversation";
  if ((previous_response_id ?? null) !== null) {
    const message = `${param}: previous_response_id is also set; send only one of them`;
    throw new InferenceError("invalid_value", message, { param });
  }
}
