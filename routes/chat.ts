/** `POST /v1/chat/completions`: one turn, or several choices of one, resuming from `state_id` when given. */

import { type Context, Hono } from "hono";
import { streamSSE } from "hono/streaming";
import type { SessionModel, TurnEnd } from "../src/session/session_types.ts";
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
      const turns = await ready.startAll(request.turn, request.choices, signal);
      if (!request.stream) {
        const results = await Promise.all(turns.map((turn) => turn.result()));
        nameStates(c, results);
        return c.json(completion(headingOf(turns[0], ready.model), results));
      }
      nameStates(c, turns);
      const { includeUsage } = request;
      return streamTurns(c, turns, { model: ready.model, includeUsage, log });
    })
    .all("/chat/completions", methodNotAllowed("POST"));
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
