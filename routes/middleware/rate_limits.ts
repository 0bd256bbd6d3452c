/** What callers may use: requests are counted, and told what is left. */

import type { Context, MiddlewareHandler } from "hono";
import { type ErrorCode, InferenceError } from "../../src/core/errors.ts";
import { callerOf } from "./authentication.ts";
import type { ResponseHeader } from "../openapi/response_headers.ts";
import type { AccountApi, Caller, RateKind } from "../../src/access/access_api.ts";

const ACCOUNT = "account";

/** Statuses of answers that tell what is left of the limits. */
const TOLD = new Set([200, 429]);

/** Requests that a limit refuses do not count: to wait for one is not to use up another one. */
const UNCOUNTED = new Set<ErrorCode>(["rate_limit_exceeded", "storage_limit_exceeded"]);

/** Headers of answers to requests that are counted, in OpenAI's words. */
export const RATE_LIMIT_HEADERS = (["limit", "remaining", "reset"] as const).flatMap((what) =>
  (["requests", "tokens"] as const).map((kind): ResponseHeader => `x-ratelimit-${what}-${kind}`)
);

/** Gives every caller its account. */
export function attachAccounts(open: (caller: Caller) => AccountApi): MiddlewareHandler {
  return async (c, next) => {
    c.set(ACCOUNT, open(callerOf(c)));
    await next();
  };
}

/** What a caller may use; nothing is bounded where there is no account. */
export function accountOf(c: Context): AccountApi | undefined {
  return c.get(ACCOUNT);
}

/**
 * Counts requests that have a body, before it is read. A request that is refused counts as well,
 * since it was read; only those that a limit refuses and those that get a kept answer do not.
 *
 * @throws InferenceError `rate_limit_exceeded`
 */
export function countRequests(): MiddlewareHandler {
  return async (c, next) => {
    if (c.req.method !== "POST") return await next();
    const account = accountOf(c);
    const uncount = account?.countRequest();
    await next();
    const limited = c.error instanceof InferenceError && UNCOUNTED.has(c.error.code);
    if (limited || c.res.headers.has("idempotent-replayed")) uncount?.();
  };
}

/** Tells what is left of the limits by the minute. */
export function rateLimitHeaders(): MiddlewareHandler {
  return async (c, next) => {
    await next();
    if (!TOLD.has(c.res.status)) return;
    for (const [kind, left] of Object.entries(accountOf(c)?.rateLimits ?? {})) {
      const name = (what: string) => `x-ratelimit-${what}-${kind as RateKind}`;
      c.res.headers.set(name("limit"), String(left.limit));
      c.res.headers.set(name("remaining"), String(left.remaining));
      c.res.headers.set(name("reset"), formatDuration(left.reset));
    }
  };
}

/** As OpenAI writes it: `250ms`, `12s`, `6m0s`. */
export function formatDuration(milliseconds: number): string {
  const whole = Math.ceil(milliseconds);
  if (whole < 1000) return `${whole}ms`;
  const seconds = Math.ceil(whole / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
