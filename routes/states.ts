/** `/v1/states/{id}`: what is known of a stored state, and its end. */

import { Hono } from "hono";
import { methodNotAllowed } from "./errors.ts";
import type { RouteOptions } from "./route_options.ts";

export function stateRoutes({ sessions }: RouteOptions): Hono {
  return new Hono()
    .get("/states/:id", async (c) => {
      const ready = await sessions(c.req.raw.signal);
      const state = await ready.describe(c.req.param("id"));
      return c.json({
        id: state.id,
        object: "state",
        model: state.model.id,
        model_fingerprint: state.model.fingerprint,
        quant: state.model.quant ?? null,
        created: Math.floor(state.created / 1000),
        expires_at: Math.floor(state.expires / 1000),
        bytes: state.bytes,
        open: state.open,
        tokens: state.tokens,
        pending_tokens: state.pendingTokens,
        transcript: state.transcript,
      });
    })
    .delete(async (c) => {
      const ready = await sessions(c.req.raw.signal);
      const id = c.req.param("id") ?? "";
      await ready.delete(id);
      return c.json({ id, object: "state", deleted: true });
    })
    .all("/states/:id", methodNotAllowed("GET, DELETE"));
}
