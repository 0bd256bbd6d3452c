/** Reports every response to an observer, and names the request's trace span. */

import { trace } from "@opentelemetry/api";
import type { Context, MiddlewareHandler } from "hono";
import { routePath } from "hono/route";

/** A request and its response. */
export interface ObservedRequest {
  /** "other" for a method that is not listed in `METHODS`. */
  method: string;
  /** The path template of the OpenAPI document; "other" for an unknown path. */
  route: string;
  /** The HTTP status. */
  status: number;
  /** Time until the response headers. */
  seconds: number;
  /** The value of `x-request-id`. */
  requestId: string;
}

/** Methods that become label values. Clients must not be able to create new values. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Names the active span. Deno creates it without knowledge of routes. */
function nameSpan(c: Context, { method, route }: Pick<ObservedRequest, "method" | "route">): void {
  const span = trace.getActiveSpan();
  span?.setAttributes({ "rwkv.request_id": c.get("requestId"), "http.route": route });
  span?.updateName(`${method === "other" ? "HTTP" : method} ${route}`);
}

/** Calls `onResponse` after every response. */
export function observeResponses(
  onResponse: (request: ObservedRequest) => void,
): MiddlewareHandler {
  return async (c, next) => {
    const start = performance.now();
    await next();
    const method = METHODS.has(c.req.method) ? c.req.method : "other";
    const path = routePath(c, -1).replace(/:(\w+)(\{.*?\})?/g, "{$1}");
    const route = path.endsWith("/*") ? "other" : path;
    nameSpan(c, { method, route });
    onResponse({
      method,
      route,
      status: c.res.status,
      seconds: (performance.now() - start) / 1000,
      requestId: c.get("requestId"),
    });
  };
}
