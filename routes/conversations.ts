/** `/v1/conversations`: names that move from state to state as turns are taken. */

import { z } from "@hono/zod-openapi";
import type { Conversation } from "../src/session/session_types.ts";
import { withBodyStates } from "./body_references.ts";
import {
  type ConversationChange,
  conversationChangeSchema,
  type ConversationObject,
  conversationSchema,
  deletedConversationSchema,
} from "./conversation_schema.ts";
import { BODY_ERRORS, SESSION_ERRORS, STATE_ERRORS } from "./error_responses.ts";
import { conversationId } from "./ids_schema.ts";
import { itemListQuery, itemListSchema } from "./item_schema.ts";
import { itemOf, pageOf } from "./items.ts";
import { accountOf } from "./limits.ts";
import { ApiRoutes, defineRoute, jsonBody, jsonResponse } from "./openapi.ts";
import { heldBy } from "./room.ts";
import type { RouteOptions } from "./route_options.ts";

const tags = ["Conversations"];
const params = z.object({ id: conversationId });

/** Of a conversation that is looked for. */
const LOOKUP_ERRORS = [
  ...SESSION_ERRORS,
  "conversation_not_found",
  "state_damaged",
  "store_unavailable",
] as const;

const createConversation = defineRoute({
  method: "post",
  path: "/conversations",
  operationId: "createConversation",
  tags,
  summary: "Begin a conversation",
  description:
    "From nothing, or from a state. Turns that name it go on where it stands, and move " +
    "it on.",
  request: { body: jsonBody(conversationChangeSchema, "What it begins with; `{}` will do.") },
  responses: { 200: jsonResponse(conversationSchema, "The conversation.") },
  errors: [
    ...SESSION_ERRORS,
    ...BODY_ERRORS,
    ...STATE_ERRORS,
    "model_mismatch",
    "storage_limit_exceeded",
  ],
});

const getConversation = defineRoute({
  method: "get",
  path: "/conversations/{id}",
  operationId: "retrieveConversation",
  tags,
  summary: "Describe a conversation",
  description: "Where it stands, and its metadata.",
  request: { params },
  responses: { 200: jsonResponse(conversationSchema, "The conversation.") },
  errors: LOOKUP_ERRORS,
});

const updateConversation = defineRoute({
  method: "post",
  path: "/conversations/{id}",
  operationId: "updateConversation",
  tags,
  summary: "Change a conversation",
  description: "Replaces its metadata, or moves it to another state; what is left out stays.",
  request: { params, body: jsonBody(conversationChangeSchema, "What is to change.") },
  responses: { 200: jsonResponse(conversationSchema, "The conversation as it is now.") },
  errors: [...LOOKUP_ERRORS, ...BODY_ERRORS, ...STATE_ERRORS, "model_mismatch"],
});

const deleteConversation = defineRoute({
  method: "delete",
  path: "/conversations/{id}",
  operationId: "deleteConversation",
  tags,
  summary: "Delete a conversation",
  description: "Its states stay.",
  request: { params },
  responses: { 200: jsonResponse(deletedConversationSchema, "The conversation is gone.") },
  errors: LOOKUP_ERRORS,
});

const listItems = defineRoute({
  method: "get",
  path: "/conversations/{id}/items",
  operationId: "listConversationItems",
  tags,
  summary: "List a conversation's messages",
  description:
    "What was said until where it stands; `instructions` of responses are not part of it.",
  request: { params, query: itemListQuery },
  responses: { 200: jsonResponse(itemListSchema, "The messages.") },
  errors: [...LOOKUP_ERRORS, ...STATE_ERRORS, "overloaded", "invalid_value"],
});

export function conversationRoutes({ sessions, body }: RouteOptions): ApiRoutes {
  return new ApiRoutes(body)
    .serve(createConversation, async (c) => {
      const { conversations } = await sessions(c);
      const make = () => withBodyStates(conversations.create(wanted(c.req.valid("json"))));
      const created = await accountOf(c)?.conversation(make) ?? await make();
      return c.json(conversationObject(created), 200);
    })
    .serve(getConversation, async (c) => {
      const { conversations } = await sessions(c);
      return c.json(conversationObject(await conversations.get(c.req.valid("param").id)), 200);
    })
    .serve(updateConversation, async (c) => {
      const { conversations } = await sessions(c);
      const { id } = c.req.valid("param");
      const changed = await withBodyStates(conversations.update(id, wanted(c.req.valid("json"))));
      return c.json(conversationObject(changed), 200);
    })
    .serve(deleteConversation, async (c) => {
      const { conversations } = await sessions(c);
      const { id } = c.req.valid("param");
      await conversations.delete(id);
      accountOf(c)?.conversationRemoved();
      return c.json({ id, object: "conversation.deleted", deleted: true }, 200);
    })
    .serve(listItems, async (c) => {
      const { conversations } = await sessions(c);
      const { id } = c.req.valid("param");
      const { transcript, open } = await conversations.transcript(id, heldBy(c).take);
      const items = transcript.map((entry, i) => {
        const cut = open && i === transcript.length - 1;
        return itemOf(messageId(id, i), entry, cut ? "incomplete" : "completed");
      });
      return c.json(pageOf(items, c.req.valid("query")), 200);
    });
}

/** The same for the same place; it shows a part of the conversation's id only. */
function messageId(conversation: string, index: number): string {
  const shown = conversation.slice("conv_".length, "conv_".length + 12);
  return `msg_${shown}${index.toString(16).padStart(8, "0")}`;
}

function wanted({ metadata, state_id }: ConversationChange) {
  return { metadata: metadata ?? undefined, stateId: state_id ?? undefined };
}

function conversationObject({ id, created, metadata, head }: Conversation): ConversationObject {
  return {
    id,
    object: "conversation",
    created_at: Math.floor(created / 1000),
    metadata,
    state_id: head,
  };
}
