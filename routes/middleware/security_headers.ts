/** What browsers are told of every answer; pages say more for themselves. */

import type { MiddlewareHandler } from "hono";

const HEADERS = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** A year, as browsers ask of those who mean it. */
const HSTS = "max-age=31536000";

/** Sets what an answer does not set itself; behind TLS, that it stays so. */
export function securityHeaders(): MiddlewareHandler {
  return async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(HEADERS)) {
      if (!c.res.headers.has(name)) c.res.headers.set(name, value);
    }
    // Whoever makes up this header does so for their own answer alone.
    const scheme = c.req.header("x-forwarded-proto") ?? new URL(c.req.url).protocol;
    if (/^https\b/.test(scheme)) c.res.headers.set("strict-transport-security", HSTS);
  };
}
