/** `/v1/conversations`: names that move from state to state as turns are taken. */

import { Hono } from "hono";
import { z } from "zod";
import type { Conversation } from "../src/session/session_types.ts";
import { readJson } from "./body.ts";
import { methodNotAllowed } from "./errors.ts";
import type { RouteOptions } from "./route_options.ts";
import { parse } from "./validation.ts";

/** OpenAI's bounds. */
const metadata = z.record(z.string().max(64), z.string().max(512)).refine(
  (value) => Object.keys(value).length <= 16,
  { error: "expected at most 16 entries" },
);

const change = z.object({
  metadata: metadata.nullish(),
  state_id: z.string().nullish(),
}, { error: "expected a JSON object" });

export function conversationRoutes({ sessions, bodyLimit }: RouteOptions): Hono {
  const read = async (request: Request) => {
    const { metadata, state_id } = parse(change, await readJson(request, bodyLimit));
    return { metadata: metadata ?? undefined, stateId: state_id ?? undefined };
  };
  return new Hono()
    .post("/conversations", async (c) => {
      const wanted = await read(c.req.raw);
      const { conversations } = await sessions(c.req.raw.signal);
      return c.json(conversationObject(await conversations.create(wanted)));
    })
    .all("/conversations", methodNotAllowed("POST"))
    .get("/conversations/:id", async (c) => {
      const { conversations } = await sessions(c.req.raw.signal);
      return c.json(conversationObject(await conversations.get(c.req.param("id"))));
    })
    .post(async (c) => {
      const wanted = await read(c.req.raw);
      const { conversations } = await sessions(c.req.raw.signal);
      return c.json(conversationObject(await conversations.update(c.req.param("id")!, wanted)));
    })
    .delete(async (c) => {
      const { conversations } = await sessions(c.req.raw.signal);
      const id = c.req.param("id")!;
      await conversations.delete(id);
      return c.json({ id, object: "conversation.deleted", deleted: true });
    })
    .all("/conversations/:id", methodNotAllowed("GET, POST, DELETE"));
}

function conversationObject({ id, created, metadata, head }: Conversation) {
  return {
    id,
    object: "conversation",
    created_at: Math.floor(created / 1000),
    metadata,
    state_id: head,
  };
}
