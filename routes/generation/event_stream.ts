/** Server-sent events of turns. A client that reads none of them is not written to for ever. */

import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import { StallTimer } from "../middleware/stall_timer.ts";
import type { Turn } from "../../src/session/session_api.ts";

/** Milliseconds for which a client may read nothing of what there is for it, unless told otherwise. */
export const STALLED_READ_TIMEOUT_MS = 60_000;

/**
 * Milliseconds without an event after which a comment is sent, unless told otherwise: proxies close
 * connections that are silent for a minute, and a long prompt takes longer.
 */
export const KEEP_ALIVE_MS = 10_000;

/** An event. */
export interface ServerSentEvent {
  event?: string;
  data: string;
}

export interface EventStreamOptions {
  /** Those that are told of: they are cancelled when the client leaves, or stops reading. */
  turns: readonly Turn[];
  /** Milliseconds for which the client may read nothing of what there is for it. */
  stalledReadTimeoutMs: number;
  /** Milliseconds without an event after which a comment is sent. */
  keepAliveMs: number;
}

/** Names the states that turns lead to, where they can be resumed. */
export function setStateIdHeader(c: Context, states: readonly { stateId: string | null }[]): void {
  const ids = states.flatMap(({ stateId }) => stateId ?? []);
  if (ids.length > 0) c.header("x-state-id", ids.join(", "));
}

/** The answer of what `run` sends. */
export function streamEvents(
  c: Context,
  { turns, stalledReadTimeoutMs: unread, keepAliveMs: keepAlive }: EventStreamOptions,
  run: (send: (message: ServerSentEvent) => Promise<void>) => Promise<void>,
): Response {
  setStateIdHeader(c, turns);
  c.header("x-accel-buffering", "no");
  return streamSSE(c, async (sse) => {
    sse.onAbort(() => turns.forEach((turn) => turn.cancel()));
    using watch = new StallTimer({
      deadline: (since) => since + unread,
      onTimeout: () => sse.abort(),
    });
    let silent = true;
    const timer = setInterval(() => {
      // What is on its way already keeps the connection alive.
      if (silent) void watch.watch(sse.write(": keep-alive\n\n")).catch(() => {});
      silent = true;
    }, keepAlive);
    try {
      await run((message) => {
        silent = false;
        return watch.watch(sse.writeSSE(message));
      });
    } finally {
      clearInterval(timer);
    }
  });
}
