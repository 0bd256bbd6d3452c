/** Server-sent event streams of turns, which are closed if the client stops reading. */

import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import { StallTimer } from "../middleware/stall_timer.ts";
import type { Turn } from "../../src/session/session_api.ts";

/** Default of `stalledReadTimeoutMs`. */
export const STALLED_READ_TIMEOUT_MS = 60_000;

/**
 * Default of `keepAliveMs`. Proxies close connections that are idle for a minute, and a long prompt
 * takes longer.
 */
export const KEEP_ALIVE_MS = 10_000;

/** A server-sent event. */
export interface ServerSentEvent {
  event?: string;
  data: string;
}

export interface EventStreamOptions {
  /** The streamed turns. They are cancelled when the client disconnects or stops reading. */
  turns: readonly Turn[];
  /** The stream is closed if the client reads nothing for this time. */
  stalledReadTimeoutMs: number;
  /** A comment is sent after this time without an event. */
  keepAliveMs: number;
}

/** Sets `x-state-id` to the ids of the turns' states that can be resumed. */
export function setStateIdHeader(c: Context, states: readonly { stateId: string | null }[]): void {
  const ids = states.flatMap(({ stateId }) => stateId ?? []);
  if (ids.length > 0) c.header("x-state-id", ids.join(", "));
}

/** Returns a response that streams the events sent by `run`. */
export function streamEvents(
  c: Context,
  { turns, stalledReadTimeoutMs, keepAliveMs }: EventStreamOptions,
  run: (send: (message: ServerSentEvent) => Promise<void>) => Promise<void>,
): Response {
  setStateIdHeader(c, turns);
  c.header("x-accel-buffering", "no");
  return streamSSE(c, async (sse) => {
    sse.onAbort(() => turns.forEach((turn) => turn.cancel()));
    using stallTimer = new StallTimer({
      deadline: (since) => since + stalledReadTimeoutMs,
      onTimeout: () => sse.abort(),
    });
    let idle = true;
    const timer = setInterval(() => {
      // Pending events already keep the connection alive.
      if (idle) void stallTimer.watch(sse.write(": keep-alive\n\n")).catch(() => {});
      idle = true;
    }, keepAliveMs);
    try {
      await run((message) => {
        idle = false;
        return stallTimer.watch(sse.writeSSE(message));
      });
    } finally {
      clearInterval(timer);
    }
  });
}
