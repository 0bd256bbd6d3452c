/** What `createApp` hands to every resource. */

import type { Sessions } from "../src/session/sessions.ts";
import type { Log } from "./errors.ts";

export interface RouteOptions {
  /**
   * Sessions, once the worker is ready.
   *
   * @throws InferenceError `not_ready` or `cancelled`
   */
  sessions: (signal: AbortSignal) => Promise<Sessions>;
  /** Bytes of a request body at most. */
  bodyLimit: number;
  log: Log;
}
