/** Authentication of requests below `/v1` by API key. The key determines the tenant. */

import type { Context, MiddlewareHandler } from "hono";
import type { AuthPolicy, Caller } from "../../src/access/access_api.ts";

const CALLER = "caller";

/** Authenticates every request with `auth`, which throws for an invalid key. */
export function authenticate(auth: AuthPolicy): MiddlewareHandler {
  return async (c, next) => {
    c.set(CALLER, await auth.authenticate(c.req.header("authorization")));
    await next();
  };
}

/** Returns the authenticated caller of a request. */
export function callerOf(c: Context): Caller {
  const caller: Caller | undefined = c.get(CALLER);
  // No default caller: a route without the authentication middleware is a bug.
  if (caller === undefined) throw new Error(`${c.req.path} has no authentication middleware`);
  return caller;
}
