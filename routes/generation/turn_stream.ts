/** Streams one or several turns as server-sent events of one response. */

import type { Context } from "hono";
import type { TextEvent, TurnEnd } from "../../src/session/session_types.ts";
import { errorBody, type Log } from "../middleware/errors.ts";
import { type EventStreamOptions, streamEvents } from "./event_stream.ts";
import type { Turn } from "../../src/session/session_api.ts";

/** Builds the JSON objects of a turn's events. `index` is the index of the choice. */
export interface TurnChunks {
  /** Object before the text; `null` for none. */
  start(index: number): unknown;
  text(event: TextEvent, index: number): unknown;
  end(end: TurnEnd, index: number): unknown;
  /** Object after the end of all turns; `null` for none. */
  usage(ends: readonly TurnEnd[]): unknown;
}

/** Returns a response that streams the turns concurrently. */
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
    // The failure of one choice does not end the others.
    const ended = await Promise.allSettled(turns.map(sendTurn));
    const failedIndex = ended.findIndex(({ status }) => status === "rejected");
    const failed = ended[failedIndex];
    if (failed?.status === "rejected") {
      // Handled here, because streamSSE would send the error's text to the client.
      log(`The stream of turn ${turns[0].id} failed`, failed.reason);
      const { stateId } = turns[failedIndex];
      return await send({
        ...errorBody(failed.reason),
        ...(stateId === null ? {} : { state_id: stateId }),
      });
    }
    await send(chunks.usage(ended.flatMap((end) => end.status === "fulfilled" ? end.value : [])));
    await write({ data: "[DONE]" });
  });
}
