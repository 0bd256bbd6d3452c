/** Server-sent events of turns. A client that reads none of them is not written to for ever. */

import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { Turn } from "../src/session/turn.ts";
import { Watch } from "./watch.ts";

/** Milliseconds for which a client may read nothing of what there is for it, unless told otherwise. */
export const UNREAD_MS = 60_000;

/** An event. */
export interface Message {
  event?: string;
  data: string;
}

export interface EventStreamOptions {
  /** Those that are told of: they are cancelled when the client leaves, or stops reading. */
  turns: readonly Turn[];
  /** Milliseconds for which the client may read nothing of what there is for it. */
  unread: number;
}

/** Names the states that turns lead to, where they can be resumed. */
export function nameStates(c: Context, states: readonly { stateId: string | null }[]): void {
  const ids = states.flatMap(({ stateId }) => stateId ?? []);
  if (ids.length > 0) c.header("x-state-id", ids.join(", "));
}

/** The answer of what `run` sends. */
export function streamEvents(
  c: Context,
  { turns, unread }: EventStreamOptions,
  run: (send: (message: Message) => Promise<void>) => Promise<void>,
): Response {
  nameStates(c, turns);
  c.header("x-accel-buffering", "no");
  return streamSSE(c, async (sse) => {
    sse.onAbort(() => turns.forEach((turn) => turn.cancel()));
    using watch = new Watch({
      due: (since) => since + unread,
      late: () => sse.abort(),
    });
    await run((message) => watch.during(sse.writeSSE(message)));
  });
}
