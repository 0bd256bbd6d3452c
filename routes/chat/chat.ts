/** `POST /v1/chat/completions`: one turn, or several choices of one, resuming from `state_id` when given. */

import { bodyReferenceErrors, withMissingReferenceAs400 } from "../middleware/referenced_ids.ts";
import { COMPLETION_EXAMPLE, EVENT_EXAMPLES } from "./chat_examples.ts";
import {
  chatChunk,
  chatCompletion,
  type CommonFields,
  commonFieldsOf,
  usageChunk,
} from "./chat_response.ts";
import { completionSchema, eventSchema } from "./chat_response_schema.ts";
import { chatParams, chatSchema } from "./chat_schema.ts";
import { GENERATION_ERRORS } from "../openapi/error_responses.ts";
import { setStateIdHeader } from "../generation/event_stream.ts";
import { describeForeignFields, rejectForeignFields } from "../generation/foreign_fields.ts";
import {
  IDEMPOTENCY_ERRORS,
  idempotencyHeaders,
  withIdempotency,
} from "../middleware/idempotency.ts";
import { accountOf, RATE_LIMIT_HEADERS } from "../middleware/rate_limits.ts";
import { assertModelLoaded } from "../models/models.ts";
import { ApiRoutes, defineRoute, jsonBody } from "../openapi/openapi.ts";
import { headerRefs } from "../openapi/response_headers.ts";
import type { RouteOptions } from "../route_options.ts";
import { streamTurns, type TurnChunks } from "../generation/turn_stream.ts";

const createChatCompletion = defineRoute({
  method: "post",
  path: "/chat/completions",
  operationId: "createChatCompletion",
  tags: ["Chat"],
  summary: "Take a turn",
  description: "Writes a reply to messages, from nothing or from where a state or a conversation " +
    "stands. The answer is OpenAI's, with the `state_id` that it leads to beside `choices`, and " +
    "in each choice.\n\n" +
    "With `stream`, it comes as server-sent events. Each is `data: ` and a JSON object: for each " +
    "choice a chunk with the role, chunks with its text, and one with the `finish_reason` and " +
    "the `state_id`; then one with the usage where it is asked for. The last event is " +
    "`data: [DONE]`. An error in mid-stream comes as an event of its own, with the `state_id` that " +
    "resumes the turn, and ends the stream without `[DONE]`; the ids in the header `x-state-id` " +
    "resume all the same.\n\n" + describeForeignFields("chat"),
  request: {
    headers: idempotencyHeaders,
    body: jsonBody(rejectForeignFields(chatSchema, "chat"), "The turn."),
  },
  responses: {
    200: {
      description: "The reply, whole or as a stream.",
      headers: headerRefs("x-state-id", "idempotent-replayed", ...RATE_LIMIT_HEADERS),
      content: {
        "application/json": { schema: completionSchema, example: COMPLETION_EXAMPLE },
        "text/event-stream": { schema: eventSchema, examples: EVENT_EXAMPLES },
      },
    },
  },
  errors: bodyReferenceErrors([...GENERATION_ERRORS, ...IDEMPOTENCY_ERRORS]),
});

export function chatRoutes(
  { sessions, body, stalledReadTimeoutMs: unread, keepAliveMs: keepAlive, log }: RouteOptions,
): ApiRoutes {
  return new ApiRoutes(body).handle(createChatCompletion, async (c) => {
    const { signal } = c.req.raw;
    const body = c.req.valid("json");
    const request = chatParams(body);
    const ready = await sessions(c);
    assertModelLoaded(ready.model, request.model);
    return await withIdempotency(c, { sessions: ready, log, body }, async (onTurns) => {
      const asked = { ...request.turn, account: accountOf(c) };
      const turns = await withMissingReferenceAs400(
        ready.startAll(asked, request.choiceCount, signal),
      );
      onTurns(turns);
      const heading = commonFieldsOf(turns[0], ready.model);
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
      return c.json(chatCompletion(heading, results), 200);
    });
  });
}

/** The chunks of a choice's stream. */
function chunksOf(heading: CommonFields, includeUsage: boolean): TurnChunks {
  return {
    start: (index) =>
      chatChunk(heading, { role: "assistant", content: "" }, { index, includeUsage }),
    text: ({ text: content, tokens }, index) =>
      chatChunk(heading, { content }, { index, includeUsage, ...(tokens ? { tokens } : {}) }),
    end: (end, index) => chatChunk(heading, {}, { ...end, index, includeUsage }),
    usage: (ends) => includeUsage ? usageChunk(heading, ends) : null,
  };
}
