/** What `POST /v1/responses` takes, and what it becomes for a session. */

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

/** Fields that are understood and cannot be served, with the values that ask for nothing. */
const UNSUPPORTED = {
  tools: { takes: isEmpty, message: "tools are not supported" },
  tool_choice: { takes: z.enum(["none", "auto"]), message: "tools are not supported" },
  background: { takes: z.literal(false), message: "responses in the background are not supported" },
  prompt: { takes: z.null(), message: "stored prompts are not supported" },
  reasoning: {
    takes: z.looseObject({
      effort: z.literal("none").nullish().meta({ description: "None.", example: null }),
      summary: z.null().optional().meta({ description: "None.", example: null }),
    }),
    message: "reasoning is not supported",
  },
} satisfies UnsupportedFields;

const LOGPROBS = "message.output_text.logprobs";

export const responseRequestSchema = z.object({
  model: modelId.nullish().openapi({
    description: "The id that `/v1/models` lists, or `default`. The one that runs, unless given " +
      "or where it is empty.",
    example: "default",
  }),
  input: z.union([z.string(), z.array(inputItem)], {
    error: "expected a string or a list of messages",
  }).nullish().openapi({
    description:
      "What is new: a text of the user's, or messages. Empty to let a response that is " +
      "`incomplete` go on.",
    example: "Hello",
  }),
  instructions: z.string().nullish().openapi({
    description: "A system message before the input, for this response alone: the next one has " +
      "only its own.",
    example: "Answer briefly.",
  }),
  previous_response_id: responseId.nullish().openapi({
    description: "The response to go on from, on any worker.",
  }),
  conversation: z.union(
    [z.string(), z.object({ id: conversationId }).transform(({ id }) => id)],
    { error: "expected an id, or an object with one" },
  ).nullish().openapi({
    description: "An id, or an object with it: goes on from where the conversation stands, and " +
      "moves it on. Not together with `previous_response_id`.",
    example: EXAMPLE_CONVERSATION,
  }),
  store: z.boolean().nullish().openapi({
    description: "Whether the response is kept, to be retrieved and gone on from; true unless " +
      "given.",
    example: true,
  }),
  stream: z.boolean().nullish().openapi({
    description: "Whether the response comes as server-sent events.",
    example: false,
  }),
  max_output_tokens: tokenLimit.nullish().openapi({
    description: "Tokens to write at most; 512 unless given, or where it is -1.",
    example: 256,
  }),
  include: z.array(
    z.enum([LOGPROBS, "reasoning.encrypted_content"], {
      error: `only ${LOGPROBS} can be included`,
    }),
  ).nullish().openapi({
    description: `\`${LOGPROBS}\`: how probable each token of the reply was. ` +
      "`reasoning.encrypted_content` is taken, and there is none.",
    example: [LOGPROBS],
  }),
  top_logprobs: topLogprobs.nullish().openapi({
    description: "How many most probable tokens are told with each one of the reply; above 0 it " +
      `is as if \`${LOGPROBS}\` were included. Tokens to write at most, times this and one, are at ` +
      "most 200,000, also in a stream, whose last event has them all.",
    example: 0,
  }),
  truncation: z.enum(["auto", "disabled"]).nullish().openapi({
    description: "Either: a recurrent state never has to drop anything.",
    example: "disabled",
  }),
  text: z.object({
    format: textFormat.nullish().openapi({
      description: "What the reply must be: any text, any JSON object, or JSON that is valid by " +
        "a schema.",
      example: { type: "text" },
    }),
  }).nullish().openapi({ description: "Of the reply." }),
  metadata: metadata.nullish(),
  user: z.string().nullish().openapi({ description: "Told again, no more.", example: "user_1" }),
  parallel_tool_calls: z.boolean().nullish().openapi({
    description: "Told again, no more.",
    example: true,
  }),
  ...samplingFields,
  ...documentedFields(UNSUPPORTED),
}, { error: "expected a JSON object" }).openapi("ResponseRequest", {
  example: { model: "default", input: "Hello", max_output_tokens: 64 },
});

export type ResponseBody = z.infer<typeof responseRequestSchema>;

/** What is kept with a response, to tell of it again. */
export interface ResponseRequestRecord {
  /** The id of its output message. */
  message: string;
  input: readonly Item[];
  /** Of the response, what the request decides. */
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
 * @param model The id of the one that runs.
 * @throws InferenceError `unsupported_value` or `invalid_value`, naming the field
 */
export function responseRequest(
  body: ResponseBody,
  model: string,
): { turn: TurnRequest; note: ResponseRequestRecord } {
  assertSupported(body, UNSUPPORTED);
  assertClear(body);
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
      // The last events of a stream have the whole message in them.
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

function assertClear({ conversation, previous_response_id, store }: ResponseBody): void {
  assertConversationStored({ conversation, store });
  if ((conversation ?? null) === null) return;
  const param = "conversation";
  if ((previous_response_id ?? null) !== null) {
    const message = `${param}: previous_response_id is given as well; go on from one of the two`;
    throw new InferenceError("invalid_value", message, { param });
  }
}
