/** `POST /v1/chat/completions`: generates one or several replies, resuming from `state_id` if given. */

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
  summary: "Create a chat completion",
  description: "Generates a reply. Resumes from `state_id` or `conversation` when given. The " +
    "response has OpenAI's format, plus the `state_id` of the new state at the top level and in " +
    "each choice.\n\n" +
    "With `stream`, the response is a stream of server-sent events. Each event is `data: ` and a " +
    "JSON object: for each choice a chunk with the role, chunks with text, and a chunk with the " +
    "`finish_reason` and the `state_id`; then, if requested, a chunk with the usage. The last event " +
    "is `data: [DONE]`. An error during the stream is sent as an event with the `state_id` that " +
    "resumes the turn, and ends the stream without `[DONE]`. The ids in the header `x-state-id` " +
    "can be resumed even if the stream fails.\n\n" + describeForeignFields("chat"),
  request: {
    headers: idempotencyHeaders,
    body: jsonBody(rejectForeignFields(chatSchema, "chat"), "The chat completion request."),
  },
  responses: {
    200: {
      description: "The chat completion, as JSON or as a stream.",
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
  { sessions, body, stalledReadTimeoutMs, keepAliveMs, log }: RouteOptions,
): ApiRoutes {
  return new ApiRoutes(body).handle(createChatCompletion, async (c) => {
    const { signal } = c.req.raw;
    const body = c.req.valid("json");
    const request = chatParams(body);
    const ready = await sessions(c);
    assertModelLoaded(ready.model, request.model);
    return await withIdempotency(c, { sessions: ready, log, body }, async (onTurns) => {
      const turnRequest = { ...request.turn, account: accountOf(c) };
      const turns = await withMissingReferenceAs400(
        ready.startAll(turnRequest, request.choiceCount, signal),
      );
      onTurns(turns);
      const common = commonFieldsOf(turns[0], ready.model);
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
      return c.json(chatCompletion(common, results), 200);
    });
  });
}

/** Returns the chunks of a streamed chat completion. */
function chunksOf(common: CommonFields, includeUsage: boolean): TurnChunks {
  return {
    start: (index) =>
      chatChunk(common, { role: "assistant", content: "" }, { index, includeUsage }),
    text: ({ text: content, tokens }, index) =>
      chatChunk(common, { content }, { index, includeUsage, ...(tokens ? { tokens } : {}) }),
    end: (end, index) => chatChunk(common, {}, { ...end, index, includeUsage }),
    usage: (ends) => includeUsage ? usageChunk(common, ends) : null,
  };
}
