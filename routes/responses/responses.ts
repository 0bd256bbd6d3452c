/** `/v1/responses`: OpenAI's Responses API, in which each response can continue a previous one. */

import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { InferenceError } from "../../src/core/errors.ts";
import type { SessionApi } from "../../src/session/session_api.ts";
import { bodyReferenceErrors, withMissingReferenceAs400 } from "../middleware/referenced_ids.ts";
import { GENERATION_ERRORS, SESSION_ERRORS } from "../openapi/error_responses.ts";
import {
  type EventStreamOptions,
  setStateIdHeader,
  streamEvents,
} from "../generation/event_stream.ts";
import {
  IDEMPOTENCY_ERRORS,
  idempotencyHeaders,
  withIdempotency,
} from "../middleware/idempotency.ts";
import { describeForeignFields, rejectForeignFields } from "../generation/foreign_fields.ts";
import { itemListQuery, itemListSchema } from "./item_schema.ts";
import { itemPage } from "./items.ts";
import { accountOf, RATE_LIMIT_HEADERS } from "../middleware/rate_limits.ts";
import { assertModelLoaded } from "../models/models.ts";
import { ApiRoutes, defineRoute, jsonBody, jsonResponse } from "../openapi/openapi.ts";
import { type ResponseEvent, responseEventSchema } from "./response_event_schema.ts";
import { responseEvents } from "./response_events.ts";
import { RESPONSE_EVENT_EXAMPLES, RESPONSE_EXAMPLE } from "./response_examples.ts";
import { headerRefs } from "../openapi/response_headers.ts";
import { asResponseError, responseNotFound, stateIdOf } from "./response_ids.ts";
import { responseObject, storedResponse } from "./response_object.ts";
import {
  responseRequest,
  type ResponseRequestRecord,
  responseRequestSchema,
} from "./response_request.ts";
import { deletedResponseSchema, responseId, responseSchema } from "./response_schema.ts";
import type { RouteOptions } from "../route_options.ts";
import type { TurnReport } from "../../src/session/session_api.ts";

const tags = ["Responses"];
const params = z.object({ id: responseId });

/** Errors of looking up a response. */
const LOOKUP_ERRORS = [
  ...SESSION_ERRORS,
  "response_not_found",
  "state_damaged",
  "store_unavailable",
] as const;

const createResponse = defineRoute({
  method: "post",
  path: "/responses",
  operationId: "createResponse",
  tags,
  summary: "Create a response",
  description:
    "Generates a reply. Continues `previous_response_id` or `conversation` when given. " +
    "The response has OpenAI's format, plus the `state_id` of the new state.\n\n" +
    "With `stream`, the response is a stream of server-sent events. Each has its type in `event: ` " +
    "and a JSON object in `data: `. The types are, in order: `response.created`, " +
    "`response.in_progress`, " +
    "`response.output_item.added`, `response.content_part.added`, `response.output_text.delta` for " +
    "each part of the text, `response.output_text.done`, `response.content_part.done`, " +
    "`response.output_item.done`, and `response.completed` or `response.incomplete`. A failed turn " +
    "ends with `response.failed`. If the conversation was advanced by another request in the " +
    "meantime, the stream ends with `error`.\n\n" +
    describeForeignFields("responses"),
  request: {
    headers: idempotencyHeaders,
    body: jsonBody(
      rejectForeignFields(responseRequestSchema, "responses"),
      "The response request.",
    ),
  },
  responses: {
    200: {
      description: "The response, as JSON or as a stream.",
      headers: headerRefs("x-state-id", "idempotent-replayed", ...RATE_LIMIT_HEADERS),
      content: {
        "application/json": { schema: responseSchema, example: RESPONSE_EXAMPLE },
        "text/event-stream": { schema: responseEventSchema, examples: RESPONSE_EVENT_EXAMPLES },
      },
    },
  },
  errors: bodyReferenceErrors([
    ...GENERATION_ERRORS,
    "previous_response_not_found",
    ...IDEMPOTENCY_ERRORS,
  ]),
});

const getResponse = defineRoute({
  method: "get",
  path: "/responses/{id}",
  operationId: "retrieveResponse",
  tags,
  summary: "Retrieve a response",
  description: "Retrieves a stored response from any worker until its state expires. A running " +
    "response, or one whose worker was killed, is `in_progress`; it can be continued.",
  request: { params },
  responses: { 200: jsonResponse(responseSchema, "The response.") },
  errors: LOOKUP_ERRORS,
});

const deleteResponse = defineRoute({
  method: "delete",
  path: "/responses/{id}",
  operationId: "deleteResponse",
  tags,
  summary: "Delete a response",
  description:
    "Deletes a response with its state and its stored `Idempotency-Key` response. Responses " +
    "that continued it are not deleted.",
  request: { params },
  responses: { 200: jsonResponse(deletedResponseSchema, "The response was deleted.") },
  errors: LOOKUP_ERRORS,
});

const cancelResponse = defineRoute({
  method: "post",
  path: "/responses/{id}/cancel",
  operationId: "cancelResponse",
  tags,
  summary: "Cancel a response",
  description:
    "Always fails, because background responses are not supported. To cancel a stream, close " +
    "the connection.",
  request: { params },
  responses: {},
  errors: [...LOOKUP_ERRORS, "invalid_value"],
});

const listInputItems = defineRoute({
  method: "get",
  path: "/responses/{id}/input_items",
  operationId: "listInputItems",
  tags,
  summary: "List input items",
  description:
    "Lists the messages of the response's own request, without those of previous responses.",
  request: { params, query: itemListQuery },
  responses: { 200: jsonResponse(itemListSchema, "The messages.") },
  errors: [...LOOKUP_ERRORS, "invalid_value"],
});

export function responseRoutes(
  { sessions, body, stalledReadTimeoutMs, keepAliveMs, log }: RouteOptions,
): ApiRoutes {
  return new ApiRoutes(body)
    .handle(createResponse, async (c) => {
      const { signal } = c.req.raw;
      const body = c.req.valid("json");
      const ready = await sessions(c);
      assertModelLoaded(ready.model, body.model ?? undefined);
      return await withIdempotency(
        c,
        { sessions: ready, log, body, isComplete },
        async (onTurns) => {
          const { turn: request, note } = responseRequest(body, ready.model.id);
          const previous = body.previous_response_id ?? undefined;
          const started = ready.start({ ...request, account: accountOf(c) }, signal);
          const turn = await withMissingReferenceAs400(started)
            .catch((error) => Promise.reject(asResponseError(error, previous)));
          onTurns([turn]);
          const { finalStateId, stateId, created } = turn;
          const start = { finalStateId, stateId, created, note };
          if (!request.stream) {
            const end = await turn.result();
            setStateIdHeader(c, [end]);
            return c.json(responseObject(start, end), 200);
          }
          const events = responseEvents(turn, start, log);
          return streamResponse(c, events, {
            turns: [turn],
            stalledReadTimeoutMs,
            keepAliveMs,
          });
        },
      );
    })
    .handle(getResponse, async (c) => {
      const { id } = c.req.valid("param");
      const report = await reportOf(await sessions(c), id);
      return c.json(storedResponse(stateIdOf(id), report), 200);
    })
    .handle(deleteResponse, async (c) => {
      const { id } = c.req.valid("param");
      const ready = await sessions(c);
      await reportOf(ready, id);
      await ready.delete(stateIdOf(id));
      return c.json({ id, object: "response", deleted: true }, 200);
    })
    .handle(cancelResponse, async (c) => {
      await reportOf(await sessions(c), c.req.valid("param").id);
      throw new InferenceError("invalid_value", "Cannot cancel a synchronous response.");
    })
    .handle(listInputItems, async (c) => {
      const { note } = await reportOf(await sessions(c), c.req.valid("param").id);
      return c.json(itemPage((note as ResponseRequestRecord).input, c.req.valid("query")), 200);
    });
}

function streamResponse(
  c: Context,
  events: AsyncIterable<ResponseEvent>,
  options: EventStreamOptions,
): Response {
  return streamEvents(c, options, async (send) => {
    for await (const event of events) {
      await send({ event: event.type, data: JSON.stringify(event) });
    }
  });
}

/** Whether a stream's text is complete. */
function isComplete(text: string): boolean {
  return /^\nevent: response\.(completed|incomplete)\n/.test(
    text.slice(text.lastIndexOf("\nevent: ")),
  );
}

/** @throws InferenceError `response_not_found`, `state_damaged` or `store_unavailable` */
async function reportOf(sessions: SessionApi, id: string): Promise<TurnReport> {
  const report = await sessions.report(stateIdOf(id)).catch((error) => {
    const isMissing = error instanceof InferenceError &&
      (error.code === "state_not_found" || error.code === "state_expired");
    if (isMissing) return null;
    throw error;
  });
  if (report === null) throw responseNotFound(id);
  return report;
}
