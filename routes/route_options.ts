/** The options that `createApp` passes to the routes of every resource. */

import type { Context } from "hono";
import type { SessionApi } from "../src/session/session_api.ts";
import type { BodyLimits } from "./middleware/body.ts";
import type { Log } from "./middleware/errors.ts";

export interface RouteOptions {
  /**
   * Returns the caller's sessions, once the worker is ready.
   *
   * @throws InferenceError `not_ready` or `cancelled`
   */
  sessions: (c: Context) => Promise<SessionApi>;
  /** Limits of request bodies. */
  body: BodyLimits;
  /** A stream is closed if its client reads nothing for this time. */
  stalledReadTimeoutMs: number;
  /** A stream sends a comment after this time without an event. */
  keepAliveMs: number;
  log: Log;
}
