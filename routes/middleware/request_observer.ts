/** Tells of every answer, for whoever counts them, and names it where it is traced. */

import { trace } from "@opentelemetry/api";
import type { Context, MiddlewareHandler } from "hono";
import { routePath } from "hono/route";

/** A request and what became of it. */
export interface ObservedRequest {
  /** Or "other". */
  method: string;
  /** As the document has it; "other" where there is none. */
  route: string;
  /** Of HTTP. */
  status: number;
  /** Until the answer began. */
  seconds: number;
  /** As `x-request-id` has it. */
  requestId: string;
}

/** Others are told as "other": whoever sends requests makes no names here. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** The span is Deno's, which knows nothing of routes. */
function nameSpan(c: Context, { method, route }: Pick<ObservedRequest, "method" | "route">): void {
  const span = trace.getActiveSpan();
  span?.setAttributes({ "rwkv.request_id": c.get("requestId"), "http.route": route });
  span?.updateName(`${method === "other" ? "HTTP" : method} ${route}`);
}

export function observeResponses(onAnswer: (answered: ObservedRequest) => void): MiddlewareHandler {
  return async (c, next) => {
    const start = performance.now();
    await next();
    const method = METHODS.has(c.req.method) ? c.req.method : "other";
    const path = routePath(c, -1).replace(/:(\w+)(\{.*?\})?/g, "{$1}");
    const route = path.endsWith("/*") ? "other" : path;
    nameSpan(c, { method, route });
    onAnswer({
      method,
      route,
      status: c.res.status,
      seconds: (performance.now() - start) / 1000,
      requestId: c.get("requestId"),
    });
  };
}
