/** What `createApp` hands to every resource. */

import type { Context } from "hono";
import type { SessionApi } from "../src/session/session_api.ts";
import type { BodyLimits } from "./middleware/body.ts";
import type { Log } from "./middleware/errors.ts";

export interface RouteOptions {
  /**
   * The sessions of whoever asks, once the worker is ready.
   *
   * @throws InferenceError `not_ready` or `cancelled`
   */
  sessions: (c: Context) => Promise<SessionApi>;
  /** Bounds of request bodies. */
  body: BodyLimits;
  /** Milliseconds for which a client may read nothing of a stream. */
  stalledReadTimeoutMs: number;
  /** Milliseconds without an event after which a stream sends a comment. */
  keepAliveMs: number;
  log: Log;
}
