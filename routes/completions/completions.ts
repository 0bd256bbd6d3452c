/** `POST /v1/completions`: a text, written on as it stands. */

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
  summary: "Write on a text",
  description: "Writes on a text as it stands, from nothing or from where a state stands. The " +
    "answer is OpenAI's, with the `state_id` that it leads to: send it with more text, or with " +
    "none to let what was cut short go on. Streams are as those of chat completions.\n\n" +
    describeForeignFields("completions"),
  request: {
    headers: idempotencyHeaders,
    body: jsonBody(
      rejectForeignFields(completionRequestSchema, "completions"),
      "The text, and how to go on.",
    ),
  },
  responses: {
    200: {
      description: "What was written, whole or as a stream.",
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
  { sessions, body, stalledReadTimeoutMs: unread, keepAliveMs: keepAlive, log }: RouteOptions,
): ApiRoutes {
  return new ApiRoutes(body).handle(createCompletion, async (c) => {
    const { signal } = c.req.raw;
    const body = c.req.valid("json");
    const request = textCompletionParams(body);
    const ready = await sessions(c);
    assertModelLoaded(ready.model, request.model);
    return await withIdempotency(c, { sessions: ready, log, body }, async (onTurns) => {
      const asked = { ...request.turn, account: accountOf(c) };
      const turns = await withMissingReferenceAs400(
        ready.startAll(asked, request.choiceCount, signal),
      );
      onTurns(turns);
      const heading = commonFieldsOf(turns[0], ready.model, "cmpl");
      if (request.stream) {
        const chunks = chunksOf(heading, request.includeUsage);
        return streamTurns(c, turns, {
          chunks,
          log,
          stalledReadTimeoutMs: unread,
          keepAliveMs: keepAlive,
        });
      }
      const results = await Promise.all(turns.map((turn) => turn.result()));
      setStateIdHeader(c, results);
      return c.json(textCompletion(heading, results), 200);
    });
  });
}

function textCompletion(heading: CommonFields, results: readonly TurnResult[]): TextCompletion {
  return {
    ...heading,
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

/** The chunks of a choice's stream. */
function chunksOf(heading: CommonFields, includeUsage: boolean): TurnChunks {
  /** Characters that each choice has had. */
  const written: number[] = [];
  const chunk = (choices: TextChunk["choices"], more: Partial<TextChunk> = {}): TextChunk => ({
    ...heading,
    object: "text_completion",
    choices,
    ...(includeUsage ? { usage: null } : {}),
    ...more,
  });
  const piece = (index: number, text: string, tokens?: readonly TextToken[]) => {
    const at = written[index] ?? 0;
    written[index] = at + text.length;
    return { index, text, logprobs: textLogprobs(tokens, at) };
  };
  return {
    start: () => null,
    text: ({ text, tokens }, index) =>
      chunk([{ ...piece(index, text, tokens), finish_reason: null }]),
    end: (end, index) => {
      const last = { ...piece(index, ""), finish_reason: end.finishReason, ...stateFieldsOf(end) };
      return chunk([last], stateFieldsOf(end));
    },
    usage: (ends) =>
      includeUsage ? chunk([], { usage: usageOf(ends), ...stateFieldsOf(ends[0]) }) : null,
  };
}
