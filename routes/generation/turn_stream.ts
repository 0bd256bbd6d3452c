/** Turns as server-sent events, several of them in one stream. */

import type { Context } from "hono";
import type { TextEvent, TurnEnd } from "../../src/session/session_types.ts";
import { errorBody, type Log } from "../middleware/errors.ts";
import { type EventStreamOptions, streamEvents } from "./event_stream.ts";
import type { Turn } from "../../src/session/session_api.ts";

/** What is sent of a turn, as objects. `index` is the choice's. */
export interface TurnChunks {
  /** Before any text; `null`: nothing. */
  start(index: number): unknown;
  text(event: TextEvent, index: number): unknown;
  end(end: TurnEnd, index: number): unknown;
  /** When all have ended; `null`: nothing. */
  usage(ends: readonly TurnEnd[]): unknown;
}

export function streamTurns(
  c: Context,
  turns: readonly Turn[],
  { chunks, log, ...options }: { chunks: TurnChunks; log: Log } & Omit<EventStreamOptions, "turns">,
): Response {
  return streamEvents(c, { turns, ...options }, async (write) => {
    const send = async (data: unknown) => {
      if (data !== null) await write({ data: JSON.stringify(data) });
    };
    const sendTurn = async (turn: Turn, index: number): Promise<TurnEnd> => {
      await send(chunks.start(index));
      let end: TurnEnd | undefined;
      for await (const event of turn.events()) {
        if (event.type === "end") end = event;
        await send(event.type === "end" ? chunks.end(event, index) : chunks.text(event, index));
      }
      return end!;
    };
    // A choice that fails does not end the others.
    const ended = await Promise.allSettled(turns.map(sendTurn));
    const at = ended.findIndex(({ status }) => status === "rejected");
    const failed = ended[at];
    if (failed?.status === "rejected") {
      // Caught here, since streamSSE would send the error's text as an event of its own.
      log(`The stream of turn ${turns[0].id} broke off`, failed.reason);
      const { stateId } = turns[at];
      return await send({
        ...errorBody(failed.reason),
        ...(stateId === null ? {} : { state_id: stateId }),
      });
    }
    await send(chunks.usage(ended.flatMap((end) => end.status === "fulfilled" ? end.value : [])));
    await write({ data: "[DONE]" });
  });
}
