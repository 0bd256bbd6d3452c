/** `/v1/states`: what is known of a stored state, its end, and the whole of it as a file. */

import { Hono } from "hono";
import type { StateDescription } from "../src/session/session_types.ts";
import { importLimit } from "../src/session/state_transfer.ts";
import { readChunks } from "./body.ts";
import { methodNotAllowed } from "./errors.ts";
import type { RouteOptions } from "./route_options.ts";

/** Bytes of a file that are sent at once. */
const PIECE_BYTES = 256 * 1024;

export function stateRoutes({ sessions }: RouteOptions): Hono {
  return new Hono()
    .post("/states", async (c) => {
      const ready = await sessions(c.req.raw.signal);
      const limit = importLimit(ready.model);
      const remedy = "more than any state of this model with its conversation";
      const state = await ready.importState(readChunks(c.req.raw, { limit, remedy }));
      c.header("location", `/v1/states/${state.id}`);
      return c.json(stateObject(state), 201);
    })
    .all("/states", methodNotAllowed("POST"))
    .get("/states/:id", async (c) => {
      const ready = await sessions(c.req.raw.signal);
      return c.json(stateObject(await ready.describe(c.req.param("id"))));
    })
    .delete(async (c) => {
      const ready = await sessions(c.req.raw.signal);
      const id = c.req.param("id") ?? "";
      await ready.delete(id);
      return c.json({ id, object: "state", deleted: true });
    })
    .all("/states/:id", methodNotAllowed("GET, DELETE"))
    .get("/states/:id/content", async (c) => {
      const ready = await sessions(c.req.raw.signal);
      const { name, bytes, parts } = await ready.exportState(c.req.param("id"));
      return c.body(ReadableStream.from(pieces(parts)), 200, {
        "content-type": "application/octet-stream",
        "content-length": String(bytes),
        "content-disposition": `attachment; filename="${name}"`,
      });
    })
    .all("/states/:id/content", methodNotAllowed("GET"));
}

/** A state as the API tells of it. */
export function stateObject(state: StateDescription) {
  return {
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
  };
}

function* pieces(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += PIECE_BYTES) {
      yield part.subarray(at, at + PIECE_BYTES);
    }
  }
}
