/** A line of the log for each request: none of its text, and no id that would let others resume. */

import type { ObservedRequest } from "../../routes/middleware/request_observer.ts";
import type { Logger } from "../core/log.ts";

/** Asked all the time by machines, and of no interest. */
const PROBES = new Set(["/health", "/ready", "/ping", "/metrics"]);

export function logRequest(log: Logger, answered: ObservedRequest): void {
  const { method, route, status, seconds, requestId } = answered;
  if (PROBES.has(route)) return;
  log.verbose("Answered", {
    method,
    route,
    status,
    ms: Math.round(1000 * seconds),
    request: requestId,
  });
}
