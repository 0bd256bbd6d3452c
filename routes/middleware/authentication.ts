/** Who asks: requests below `/v1` are admitted by their key, and have its tenant from then on. */

import type { Context, MiddlewareHandler } from "hono";
import type { AuthPolicy, Caller } from "../../src/access/access_api.ts";

const CALLER = "caller";

/** Lets through whom `gate` admits; others get what it throws. */
export function authenticate(gate: AuthPolicy): MiddlewareHandler {
  return async (c, next) => {
    c.set(CALLER, await gate.authenticate(c.req.header("authorization")));
    await next();
  };
}

/** Whose request it is that was admitted. */
export function callerOf(c: Context): Caller {
  const caller: Caller | undefined = c.get(CALLER);
  // Never anybody's by default: a route that is not behind the gate is a bug.
  if (caller === undefined) throw new Error(`${c.req.path} is not behind the gate`);
  return caller;
}
