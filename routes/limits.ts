/** What callers may use: requests that let the model work are counted, and told what is left. */

import type { Context, MiddlewareHandler } from "hono";
import { Account } from "../src/access/account.ts";
import type { Ledger } from "../src/access/ledger.ts";
import type { RateKind } from "../src/access/rate_limiter.ts";
import { callerOf } from "./access.ts";
import type { ResponseHeader } from "./response_headers.ts";

const ACCOUNT = "account";

/** Answers that tell what is left: the model has worked, or would have. */
const TOLD = new Set([200, 429]);

/** Headers of answers to requests that are counted, in OpenAI's words. */
export const RATE_HEADERS = (["limit", "remaining", "reset"] as const).flatMap((what) =>
  (["requests", "tokens"] as const).map((kind): ResponseHeader => `x-ratelimit-${what}-${kind}`)
);

/** Gives every caller its account. */
export function openAccounts(ledger: Ledger): MiddlewareHandler {
  return async (c, next) => {
    c.set(ACCOUNT, new Account(callerOf(c), ledger));
    await next();
  };
}

/** What a caller may use; nothing is bounded where there is no account. */
export function accountOf(c: Context): Account | undefined {
  return c.get(ACCOUNT);
}

/** Tells what is left by the minute, of what is bounded. */
export function tellRates(): MiddlewareHandler {
  return async (c, next) => {
    await next();
    if (!TOLD.has(c.res.status)) return;
    for (const [kind, left] of Object.entries(accountOf(c)?.left ?? {})) {
      const name = (what: string) => `x-ratelimit-${what}-${kind as RateKind}`;
      c.res.headers.set(name("limit"), String(left.limit));
      c.res.headers.set(name("remaining"), String(left.remaining));
      c.res.headers.set(name("reset"), durationText(left.reset));
    }
  };
}

/**
 * Counts a request that begins turns.
 *
 * @throws InferenceError `rate_limit_exceeded`, and what `begin` throws
 */
export async function countRequest<T>(
  c: Context,
  begin: (account: Account | undefined) => Promise<T>,
): Promise<T> {
  const account = accountOf(c);
  return account === undefined
    ? await begin(undefined)
    : await account.request(() => begin(account));
}

/** As OpenAI writes it: `250ms`, `12s`, `6m0s`. */
export function durationText(milliseconds: number): string {
  const whole = Math.ceil(milliseconds);
  if (whole < 1000) return `${whole}ms`;
  const seconds = Math.ceil(whole / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
