/** Logs one line per request, without message text or ids that could resume a conversation. */

import type { ObservedRequest } from "../../routes/middleware/request_observer.ts";
import type { Logger } from "../core/log.ts";

/** Frequent requests of monitoring systems. */
const PROBES = new Set(["/health", "/ready", "/ping", "/metrics"]);

export function logRequest(log: Logger, observed: ObservedRequest): void {
  const { method, route, status, seconds, requestId } = observed;
  if (PROBES.has(route)) return;
  log.verbose("Request completed", {
    method,
    route,
    status,
    ms: Math.round(1000 * seconds),
    request: requestId,
  });
}
