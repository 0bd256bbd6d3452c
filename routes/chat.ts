/** `POST /v1/chat/completions`: one turn, resuming from `state_id` when given. */

import { type Context, Hono } from "hono";
import { streamSSE } from "hono/streaming";
import type { SessionModel } from "../src/session/session_types.ts";
import type { Turn } from "../src/session/turn.ts";
import { readJson } from "./body.ts";
import { chunk, completion, headingOf, usageChunk } from "./chat_response.ts";
import { parseChat } from "./chat_schema.ts";
import { errorBody, type Log, methodNotAllowed } from "./errors.ts";
import { assertModel } from "./models.ts";
import type { RouteOptions } from "./route_options.ts";

export function chatRoutes({ sessions, bodyLimit, log }: RouteOptions): Hono {
  return new Hono()
    .post("/chat/completions", async (c) => {
      const { signal } = c.req.raw;
      const request = parseChat(await readJson(c.req.raw, bodyLimit));
      const ready = await sessions(signal);
      assertModel(ready.model, request.model);
      const turn = await ready.start(request.turn, signal);
      c.header("x-state-id", turn.stateId);
      if (!request.stream) {
        const heading = headingOf(turn, ready.model);
        return c.json(completion(heading, await turn.result()));
      }
      const { includeUsage } = request;
      return streamTurn(c, turn, { model: ready.model, includeUsage, log });
    })
    .all("/chat/completions", methodNotAllowed("POST"));
}

interface StreamOptions {
  model: SessionModel;
  includeUsage: boolean;
  log: Log;
}

function streamTurn(c: Context, turn: Turn, options: StreamOptions): Response {
  const { model, includeUsage, log } = options;
  const heading = headingOf(turn, model);
  c.header("x-accel-buffering", "no");
  return streamSSE(c, async (sse) => {
    sse.onAbort(() => turn.cancel());
    const send = (data: unknown) => sse.writeSSE({ data: JSON.stringify(data) });
    try {
      await send(chunk(heading, { role: "assistant", content: "" }, { includeUsage }));
      for await (const event of turn.events()) {
        if (event.type === "text") {
          await send(chunk(heading, { content: event.text }, { includeUsage }));
          continue;
        }
        await send(chunk(heading, {}, { ...event, includeUsage }));
        if (includeUsage) await send(usageChunk(heading, event));
      }
      await sse.writeSSE({ data: "[DONE]" });
    } catch (error) {
      // Caught here, since streamSSE would send the error's text as an event of its own.
      log(`The stream of ${turn.stateId} broke off`, error);
      await send(errorBody(error));
    }
  });
}
