/** `POST /v1/completions`: continues a text without a chat template. */

import type { TextToken, TurnResult } from "../../src/session/session_types.ts";
import { bodyReferenceErrors, withMissingReferenceAs400 } from "../middleware/referenced_ids.ts";
import {
  type CommonFields,
  commonFieldsOf,
  stateFieldsOf,
  usageOf,
} from "../chat/chat_response.ts";
import {
  completionRequestSchema,
  type TextChunk,
  type TextCompletion,
  textCompletionParams,
  textCompletionSchema,
  textEventSchema,
} from "./completion_schema.ts";
import { GENERATION_ERRORS } from "../openapi/error_responses.ts";
import { setStateIdHeader } from "../generation/event_stream.ts";
import { describeForeignFields, rejectForeignFields } from "../generation/foreign_fields.ts";
import {
  IDEMPOTENCY_ERRORS,
  idempotencyHeaders,
  withIdempotency,
} from "../middleware/idempotency.ts";
import { accountOf, RATE_LIMIT_HEADERS } from "../middleware/rate_limits.ts";
import { textLogprobs } from "../generation/logprobs_schema.ts";
import { assertModelLoaded } from "../models/models.ts";
import { ApiRoutes, defineRoute, jsonBody } from "../openapi/openapi.ts";
import { headerRefs } from "../openapi/response_headers.ts";
import type { RouteOptions } from "../route_options.ts";
import { streamTurns, type TurnChunks } from "../generation/turn_stream.ts";

const createCompletion = defineRoute({
  method: "post",
  path: "/completions",
  operationId: "createCompletion",
  tags: ["Chat"],
  summary: "Create a completion",
  description:
    "Continues a text without a chat template. Resumes from `state_id` when given. The " +
    "response has OpenAI's format, plus the `state_id` of the new state. Resume that state with " +
    "more text, or without text to continue a truncated reply. Streams have the same form as those " +
    "of chat completions.\n\n" +
    describeForeignFields("completions"),
  request: {
    headers: idempotencyHeaders,
    body: jsonBody(
      rejectForeignFields(completionRequestSchema, "completions"),
      "The completion request.",
    ),
  },
  responses: {
    200: {
      description: "The completion, as JSON or as a stream.",
      headers: headerRefs("x-state-id", "idempotent-replayed", ...RATE_LIMIT_HEADERS),
      content: {
        "application/json": { schema: textCompletionSchema },
        "text/event-stream": { schema: textEventSchema },
      },
    },
  },
  errors: bodyReferenceErrors([...GENERATION_ERRORS, ...IDEMPOTENCY_ERRORS]),
});

export function completionRoutes(
  { sessions, body, stalledReadTimeoutMs, keepAliveMs, log }: RouteOptions,
): ApiRoutes {
  return new ApiRoutes(body).handle(createCompletion, async (c) => {
    const { signal } = c.req.raw;
    const body = c.req.valid("json");
    const request = textCompletionParams(body);
    const ready = await sessions(c);
    assertModelLoaded(ready.model, request.model);
    return await withIdempotency(c, { sessions: ready, log, body }, async (onTurns) => {
      const turnRequest = { ...request.turn, account: accountOf(c) };
      const turns = await withMissingReferenceAs400(
        ready.startAll(turnRequest, request.choiceCount, signal),
      );
      onTurns(turns);
      const common = commonFieldsOf(turns[0], ready.model, "cmpl");
      if (request.stream) {
        const chunks = chunksOf(common, request.includeUsage);
        return streamTurns(c, turns, {
          chunks,
          log,
          stalledReadTimeoutMs,
          keepAliveMs,
        });
      }
      const results = await Promise.all(turns.map((turn) => turn.result()));
      setStateIdHeader(c, results);
      return c.json(textCompletion(common, results), 200);
    });
  });
}

function textCompletion(common: CommonFields, results: readonly TurnResult[]): TextCompletion {
  return {
    ...common,
    object: "text_completion",
    choices: results.map((result, index) => ({
      index,
      text: result.text,
      logprobs: textLogprobs(result.tokens, 0),
      finish_reason: result.finishReason,
      ...stateFieldsOf(result),
    })),
    usage: usageOf(results),
    ...stateFieldsOf(results[0]),
  };
}

/** Returns the chunks of a streamed completion. */
function chunksOf(common: CommonFields, includeUsage: boolean): TurnChunks {
  /** Characters sent of each choice. */
  const sentLengths: number[] = [];
  const chunk = (choices: TextChunk["choices"], more: Partial<TextChunk> = {}): TextChunk => ({
    ...common,
    object: "text_completion",
    choices,
    ...(includeUsage ? { usage: null } : {}),
    ...more,
  });
  const textFields = (index: number, text: string, tokens?: readonly TextToken[]) => {
    const offset = sentLengths[index] ?? 0;
    sentLengths[index] = offset + text.length;
    return { index, text, logprobs: textLogprobs(tokens, offset) };
  };
  return {
    start: () => null,
    text: ({ text, tokens }, index) =>
      chunk([{ ...textFields(index, text, tokens), finish_reason: null }]),
    end: (end, index) => {
      const last = {
        ...textFields(index, ""),
        finish_reason: end.finishReason,
        ...stateFieldsOf(end),
      };
      return chunk([last], stateFieldsOf(end));
    },
    usage: (ends) =>
      includeUsage ? chunk([], { usage: usageOf(ends), ...stateFieldsOf(ends[0]) }) : null,
  };
}
