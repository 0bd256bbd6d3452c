/** Rate limits of callers: counts requests and sets the rate limit headers. */

import type { Context, MiddlewareHandler } from "hono";
import { type ErrorCode, InferenceError } from "../../src/core/errors.ts";
import { callerOf } from "./authentication.ts";
import type { ResponseHeader } from "../openapi/response_headers.ts";
import type { AccountApi, Caller, RateKind } from "../../src/access/access_api.ts";

const ACCOUNT = "account";

/** Statuses of responses that carry rate limit headers. */
const STATUSES_WITH_LIMITS = new Set([200, 429]);

/** Requests rejected by a limit are not counted: waiting for one limit must not consume another. */
const UNCOUNTED = new Set<ErrorCode>(["rate_limit_exceeded", "storage_limit_exceeded"]);

/** Rate limit headers, with OpenAI's names. */
export const RATE_LIMIT_HEADERS = (["limit", "remaining", "reset"] as const).flatMap((what) =>
  (["requests", "tokens"] as const).map((kind): ResponseHeader => `x-ratelimit-${what}-${kind}`)
);

/** Attaches the caller's account to every request. */
export function attachAccounts(open: (caller: Caller) => AccountApi): MiddlewareHandler {
  return async (c, next) => {
    c.set(ACCOUNT, open(callerOf(c)));
    await next();
  };
}

/** Returns the caller's account, or `undefined` if no limits apply. */
export function accountOf(c: Context): AccountApi | undefined {
  return c.get(ACCOUNT);
}

/**
 * Counts POST requests before their body is read. Requests that fail count too, except those
 * rejected by a limit. Replayed responses do not count.
 *
 * @throws InferenceError `rate_limit_exceeded`
 */
export function countRequests(): MiddlewareHandler {
  return async (c, next) => {
    if (c.req.method !== "POST") return await next();
    const account = accountOf(c);
    const uncount = account?.countRequest();
    await next();
    const rejectedByLimit = c.error instanceof InferenceError && UNCOUNTED.has(c.error.code);
    if (rejectedByLimit || c.res.headers.has("idempotent-replayed")) uncount?.();
  };
}

/** Sets the headers with the caller's remaining requests and tokens. */
export function rateLimitHeaders(): MiddlewareHandler {
  return async (c, next) => {
    await next();
    if (!STATUSES_WITH_LIMITS.has(c.res.status)) return;
    for (const [kind, left] of Object.entries(accountOf(c)?.rateLimits ?? {})) {
      const name = (what: string) => `x-ratelimit-${what}-${kind as RateKind}`;
      c.res.headers.set(name("limit"), String(left.limit));
      c.res.headers.set(name("remaining"), String(left.remaining));
      c.res.headers.set(name("reset"), formatDuration(left.reset));
    }
  };
}

/** Formats a duration like OpenAI: `250ms`, `12s`, `6m0s`. */
export function formatDuration(milliseconds: number): string {
  const whole = Math.ceil(milliseconds);
  if (whole < 1000) return `${whole}ms`;
  const seconds = Math.ceil(whole / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
