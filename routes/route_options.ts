/** What `createApp` hands to every resource. */

import type { Sessions } from "../src/session/sessions.ts";
import type { BodyLimits } from "./body.ts";
import type { Log } from "./errors.ts";

export interface RouteOptions {
  /**
   * Sessions, once the worker is ready.
   *
   * @throws InferenceError `not_ready` or `cancelled`
   */
  sessions: (signal: AbortSignal) => Promise<Sessions>;
  /** Bounds of request bodies. */
  body: BodyLimits;
  log: Log;
}
