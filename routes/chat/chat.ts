/** `POST /v1/chat/completions`: one turn, or several choices of one, resuming from `state_id` when given. */

import { bodyReferenceErrors, withBodyReferences } from "../middleware/referenced_ids.ts";
import { COMPLETION_EXAMPLE, EVENT_EXAMPLES } from "./chat_examples.ts";
import { chunk, completion, type Heading, headingOf, usageChunk } from "./chat_response.ts";
import { completionSchema, eventSchema } from "./chat_response_schema.ts";
import { chatRequest, chatSchema } from "./chat_schema.ts";
import { WRITE_ERRORS } from "../openapi/error_responses.ts";
import { setStateHeaders } from "../generation/event_stream.ts";
import { foreignNames, ignoreForeignFields } from "../generation/foreign_fields.ts";
import {
  IDEMPOTENCY_ERRORS,
  idempotencyHeaders,
  withIdempotency,
} from "../middleware/idempotency.ts";
import { accountOf, RATE_HEADERS } from "../middleware/rate_limits.ts";
import { assertModel } from "../models/models.ts";
import { ApiRoutes, defineRoute, jsonBody } from "../openapi/openapi.ts";
import { headersOf } from "../openapi/response_headers.ts";
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
    "resume all the same.\n\n" + foreignNames("chat"),
  request: {
    headers: idempotencyHeaders,
    body: jsonBody(ignoreForeignFields(chatSchema, "chat"), "The turn."),
  },
  responses: {
    200: {
      description: "The reply, whole or as a stream.",
      headers: headersOf("x-state-id", "idempotent-replayed", ...RATE_HEADERS),
      content: {
        "application/json": { schema: completionSchema, example: COMPLETION_EXAMPLE },
        "text/event-stream": { schema: eventSchema, examples: EVENT_EXAMPLES },
      },
    },
  },
  errors: bodyReferenceErrors([...WRITE_ERRORS, ...IDEMPOTENCY_ERRORS]),
});

export function chatRoutes(
  { sessions, body, stalledReadTimeoutMs: unread, keepAlive, log }: RouteOptions,
): ApiRoutes {
  return new ApiRoutes(body).handle(createChatCompletion, async (c) => {
    const { signal } = c.req.raw;
    const body = c.req.valid("json");
    const request = chatRequest(body);
    const ready = await sessions(c);
    assertModel(ready.model, request.model);
    return await withIdempotency(c, { sessions: ready, log, body }, async (onTurns) => {
      const asked = { ...request.turn, account: accountOf(c) };
      const turns = await withBodyReferences(ready.startAll(asked, request.choices, signal));
      onTurns(turns);
      const heading = headingOf(turns[0], ready.model);
      if (request.stream) {
        const chunks = chunksOf(heading, request.includeUsage);
        return streamTurns(c, turns, { chunks, log, stalledReadTimeoutMs: unread, keepAlive });
      }
      const results = await Promise.all(turns.map((turn) => turn.result()));
      setStateHeaders(c, results);
      return c.json(completion(heading, results), 200);
    });
  });
}

/** The chunks of a choice's stream. */
function chunksOf(heading: Heading, includeUsage: boolean): TurnChunks {
  return {
    begin: (index) => chunk(heading, { role: "assistant", content: "" }, { index, includeUsage }),
    text: ({ text: content, tokens }, index) =>
      chunk(heading, { content }, { index, includeUsage, ...(tokens ? { tokens } : {}) }),
    end: (end, index) => chunk(heading, {}, { ...end, index, includeUsage }),
    usage: (ends) => includeUsage ? usageChunk(heading, ends) : null,
  };
}
