/** `POST /v1/chat/completions`: one turn, or several choices of one, resuming from `state_id` when given. */

import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { SessionModel, TurnEnd } from "../src/session/session_types.ts";
import type { Turn } from "../src/session/turn.ts";
import { COMPLETION_EXAMPLE, EVENT_EXAMPLES } from "./chat_examples.ts";
import { chunk, completion, headingOf, usageChunk } from "./chat_response.ts";
import { completionSchema, eventSchema } from "./chat_response_schema.ts";
import { chatRequest, chatSchema } from "./chat_schema.ts";
import { BODY_ERRORS, SESSION_ERRORS, STATE_ERRORS, TURN_ERRORS } from "./error_responses.ts";
import { errorBody, type Log } from "./errors.ts";
import { assertModel } from "./models.ts";
import { ApiRoutes, defineRoute, jsonBody } from "./openapi.ts";
import { headersOf } from "./response_headers.ts";
import type { RouteOptions } from "./route_options.ts";

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
    "`data: [DONE]`. An error in mid-stream comes as an event of its own, and ends the stream " +
    "without `[DONE]`; the ids in the header `x-state-id` resume all the same.",
  request: { body: jsonBody(chatSchema, "The turn.") },
  responses: {
    200: {
      description: "The reply, whole or as a stream.",
      headers: headersOf("x-state-id"),
      content: {
        "application/json": { schema: completionSchema, example: COMPLETION_EXAMPLE },
        "text/event-stream": { schema: eventSchema, examples: EVENT_EXAMPLES },
      },
    },
  },
  errors: [
    ...BODY_ERRORS,
    "unsupported_value",
    ...SESSION_ERRORS,
    "model_not_found",
    ...STATE_ERRORS,
    "model_mismatch",
    "conversation_not_found",
    "conversation_conflict",
    ...TURN_ERRORS,
  ],
});

export function chatRoutes({ sessions, bodyLimit, log }: RouteOptions): ApiRoutes {
  return new ApiRoutes(bodyLimit).serve(createChatCompletion, async (c) => {
    const { signal } = c.req.raw;
    const request = chatRequest(c.req.valid("json"));
    const ready = await sessions(signal);
    assertModel(ready.model, request.model);
    const turns = await ready.startAll(request.turn, request.choices, signal);
    if (!request.stream) {
      const results = await Promise.all(turns.map((turn) => turn.result()));
      nameStates(c, results);
      return c.json(completion(headingOf(turns[0], ready.model), results), 200);
    }
    nameStates(c, turns);
    const { includeUsage } = request;
    return streamTurns(c, turns, { model: ready.model, includeUsage, log });
  });
}

function nameStates(c: Context, states: readonly { stateId: string | null }[]): void {
  const ids = states.flatMap(({ stateId }) => stateId ?? []);
  if (ids.length > 0) c.header("x-state-id", ids.join(", "));
}

interface StreamOptions {
  model: SessionModel;
  includeUsage: boolean;
  log: Log;
}

function streamTurns(c: Context, turns: readonly Turn[], options: StreamOptions): Response {
  const { model, includeUsage, log } = options;
  const heading = headingOf(turns[0], model);
  c.header("x-accel-buffering", "no");
  return streamSSE(c, async (sse) => {
    sse.onAbort(() => turns.forEach((turn) => turn.cancel()));
    const send = (data: unknown) => sse.writeSSE({ data: JSON.stringify(data) });
    const sendTurn = async (turn: Turn, index: number): Promise<TurnEnd> => {
      const of = { index, includeUsage };
      await send(chunk(heading, { role: "assistant", content: "" }, of));
      let end: TurnEnd | undefined;
      for await (const event of turn.events()) {
        if (event.type === "end") end = event;
        const delta = event.type === "end" ? {} : { content: event.text };
        await send(chunk(heading, delta, { ...end, ...of }));
      }
      return end!;
    };
    // A choice that fails does not end the others.
    const ended = await Promise.allSettled(turns.map(sendTurn));
    const failed = ended.find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") {
      // Caught here, since streamSSE would send the error's text as an event of its own.
      log(`The stream of ${heading.id} broke off`, failed.reason);
      return await send(errorBody(failed.reason));
    }
    const ends = ended.flatMap((end) => end.status === "fulfilled" ? end.value : []);
    if (includeUsage) await send(usageChunk(heading, ends));
    await sse.writeSSE({ data: "[DONE]" });
  });
}
