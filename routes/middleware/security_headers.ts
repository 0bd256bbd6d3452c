/** Security headers of every response. Pages set stricter ones. */

import type { MiddlewareHandler } from "hono";

const HEADERS = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** One year, the minimum of the browsers' preload lists. */
const HSTS = "max-age=31536000";

/** Adds the headers that a response does not set; behind TLS, also HSTS. */
export function securityHeaders(): MiddlewareHandler {
  return async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(HEADERS)) {
      if (!c.res.headers.has(name)) c.res.headers.set(name, value);
    }
    // A forged header affects only the response to its own sender.
    const scheme = c.req.header("x-forwarded-proto") ?? new URL(c.req.url).protocol;
    if (/^https\b/.test(scheme)) c.res.headers.set("strict-transport-security", HSTS);
  };
}
