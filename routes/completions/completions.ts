/** `POST /v1/completions`: a text, written on as it stands. */

import type { TextToken, TurnResult } from "../../src/session/session_types.ts";
import { bodyReferenceErrors, withBodyReferences } from "../middleware/referenced_ids.ts";
import { type Heading, headingOf, stateOf, usageOf } from "../chat/chat_response.ts";
import {
  completionRequest,
  completionRequestSchema,
  type TextChunk,
  type TextCompletion,
  textCompletionSchema,
  textEventSchema,
} from "./completion_schema.ts";
import { WRITE_ERRORS } from "../openapi/error_responses.ts";
import { setStateHeaders } from "../generation/event_stream.ts";
import { foreignNames, ignoreForeignFields } from "../generation/foreign_fields.ts";
import {
  IDEMPOTENCY_ERRORS,
  idempotencyHeaders,
  withIdempotency,
} from "../middleware/idempotency.ts";
import { accountOf, RATE_HEADERS } from "../middleware/rate_limits.ts";
import { textLogprobs } from "../generation/logprobs_schema.ts";
import { assertModel } from "../models/models.ts";
import { ApiRoutes, defineRoute, jsonBody } from "../openapi/openapi.ts";
import { headersOf } from "../openapi/response_headers.ts";
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
    foreignNames("completions"),
  request: {
    headers: idempotencyHeaders,
    body: jsonBody(
      ignoreForeignFields(completionRequestSchema, "completions"),
      "The text, and how to go on.",
    ),
  },
  responses: {
    200: {
      description: "What was written, whole or as a stream.",
      headers: headersOf("x-state-id", "idempotent-replayed", ...RATE_HEADERS),
      content: {
        "application/json": { schema: textCompletionSchema },
        "text/event-stream": { schema: textEventSchema },
      },
    },
  },
  errors: bodyReferenceErrors([...WRITE_ERRORS, ...IDEMPOTENCY_ERRORS]),
});

export function completionRoutes(
  { sessions, body, stalledReadTimeoutMs: unread, keepAlive, log }: RouteOptions,
): ApiRoutes {
  return new ApiRoutes(body).handle(createCompletion, async (c) => {
    const { signal } = c.req.raw;
    const body = c.req.valid("json");
    const request = completionRequest(body);
    const ready = await sessions(c);
    assertModel(ready.model, request.model);
    return await withIdempotency(c, { sessions: ready, log, body }, async (onTurns) => {
      const asked = { ...request.turn, account: accountOf(c) };
      const turns = await withBodyReferences(ready.startAll(asked, request.choices, signal));
      onTurns(turns);
      const heading = headingOf(turns[0], ready.model, "cmpl");
      if (request.stream) {
        const chunks = chunksOf(heading, request.includeUsage);
        return streamTurns(c, turns, { chunks, log, stalledReadTimeoutMs: unread, keepAlive });
      }
      const results = await Promise.all(turns.map((turn) => turn.result()));
      setStateHeaders(c, results);
      return c.json(textCompletion(heading, results), 200);
    });
  });
}

function textCompletion(heading: Heading, results: readonly TurnResult[]): TextCompletion {
  return {
    ...heading,
    object: "text_completion",
    choices: results.map((result, index) => ({
      index,
      text: result.text,
      logprobs: textLogprobs(result.tokens, 0),
      finish_reason: result.finishReason,
      ...stateOf(result),
    })),
    usage: usageOf(results),
    ...stateOf(results[0]),
  };
}

/** The chunks of a choice's stream. */
function chunksOf(heading: Heading, includeUsage: boolean): TurnChunks {
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
    begin: () => null,
    text: ({ text, tokens }, index) =>
      chunk([{ ...piece(index, text, tokens), finish_reason: null }]),
    end: (end, index) => {
      const last = { ...piece(index, ""), finish_reason: end.finishReason, ...stateOf(end) };
      return chunk([last], stateOf(end));
    },
    usage: (ends) => includeUsage ? chunk([], { usage: usageOf(ends), ...stateOf(ends[0]) }) : null,
  };
}
