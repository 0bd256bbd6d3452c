/** `/v1/conversations`: names that move from state to state as turns are taken. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";
import type { Conversation } from "../../src/session/session_types.ts";
import { bodyStateErrors, withMissingStateAs400 } from "../middleware/referenced_ids.ts";
import {
  type ConversationChange,
  conversationChangeSchema,
  type ConversationObject,
  conversationSchema,
  deletedConversationSchema,
  type NewConversationBody,
  newConversationSchema,
  newItemsSchema,
  UNCHANGEABLE,
} from "./conversation_schema.ts";
import { BODY_ERRORS, SESSION_ERRORS, STATE_ERRORS } from "../openapi/error_responses.ts";
import { conversationId } from "../openapi/ids_schema.ts";
import { transcriptEntriesOf } from "../responses/input_items.ts";
import {
  EXAMPLE_MESSAGE,
  type Item,
  itemListQuery,
  itemListSchema,
  itemSchema,
} from "../responses/item_schema.ts";
import {
  DEFAULT_PAGE_SIZE,
  itemList,
  itemOf,
  itemPage,
  unknownAfterItem,
} from "../responses/items.ts";
import { accountOf } from "../middleware/rate_limits.ts";
import { ApiRoutes, defineRoute, jsonBody, jsonResponse } from "../openapi/openapi.ts";
import { memoryLease } from "../middleware/memory_budget.ts";
import type { RouteOptions } from "../route_options.ts";
import { assertSupported } from "../generation/unsupported_fields.ts";
import type { TranscriptPage } from "../../src/session/session_api.ts";

const tags = ["Conversations"];
const params = z.object({ id: conversationId });
const itemParams = z.object({
  id: conversationId,
  item_id: z.string().openapi({ description: "Names the message.", example: EXAMPLE_MESSAGE }),
});

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
    "From nothing, or from a state, with `items` behind it for the first turn to read. Turns that " +
    "name it go on where it stands, and move it on.",
  request: { body: jsonBody(newConversationSchema, "What it begins with; `{}` will do.") },
  responses: { 200: jsonResponse(conversationSchema, "The conversation.") },
  errors: bodyStateErrors([
    ...SESSION_ERRORS,
    ...BODY_ERRORS,
    ...STATE_ERRORS,
    "model_mismatch",
    "context_length_exceeded",
    "storage_limit_exceeded",
  ]),
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
  errors: bodyStateErrors([
    ...LOOKUP_ERRORS,
    ...BODY_ERRORS,
    ...STATE_ERRORS,
    "model_mismatch",
    "unsupported_value",
  ]),
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

const createItems = defineRoute({
  method: "post",
  path: "/conversations/{id}/items",
  operationId: "createConversationItems",
  tags,
  summary: "Add messages to a conversation",
  description:
    "Puts messages where the conversation stands, and moves it on. Its next turn reads " +
    "them before its own; where the last one is the user's, a turn without messages replies to it.",
  request: { params, body: jsonBody(newItemsSchema, "The messages.") },
  responses: { 200: jsonResponse(itemListSchema, "The messages that were added.") },
  errors: [
    ...LOOKUP_ERRORS,
    ...BODY_ERRORS,
    ...STATE_ERRORS,
    "model_mismatch",
    "context_length_exceeded",
    "storage_limit_exceeded",
  ],
});

const getItem = defineRoute({
  method: "get",
  path: "/conversations/{id}/items/{item_id}",
  operationId: "retrieveConversationItem",
  tags,
  summary: "Retrieve a message of a conversation",
  description: "By the id that the list of its messages tells. A message cannot be deleted: the " +
    "model's state has absorbed it.",
  request: { params: itemParams },
  responses: { 200: jsonResponse(itemSchema, "The message.") },
  errors: [...LOOKUP_ERRORS, ...STATE_ERRORS, "overloaded", "not_found"],
});

export function conversationRoutes({ sessions, body }: RouteOptions): ApiRoutes {
  return new ApiRoutes(body)
    .handle(createConversation, async (c) => {
      const { conversations } = await sessions(c);
      const body = c.req.valid("json");
      const account = accountOf(c);
      const begun = { ...wanted(body), items: transcriptEntriesOf(body.items ?? [], "items") };
      const make = () => withMissingStateAs400(conversations.create(begun, account));
      const created = await account?.createConversation(make) ?? await make();
      return c.json(conversationObject(created), 200);
    })
    .handle(getConversation, async (c) => {
      const { conversations } = await sessions(c);
      return c.json(conversationObject(await conversations.get(c.req.valid("param").id)), 200);
    })
    .handle(updateConversation, async (c) => {
      const { conversations } = await sessions(c);
      const { id } = c.req.valid("param");
      const body = c.req.valid("json");
      assertSupported(body, UNCHANGEABLE);
      const changed = await withMissingStateAs400(conversations.update(id, wanted(body)));
      return c.json(conversationObject(changed), 200);
    })
    .handle(deleteConversation, async (c) => {
      const { conversations } = await sessions(c);
      const { id } = c.req.valid("param");
      await conversations.delete(id);
      accountOf(c)?.conversationRemoved();
      return c.json({ id, object: "conversation.deleted", deleted: true }, 200);
    })
    .handle(listItems, async (c) => {
      const { conversations } = await sessions(c);
      const { id } = c.req.valid("param");
      const { after: item, limit = DEFAULT_PAGE_SIZE, order = "desc" } = c.req.valid("query");
      const after = item === undefined ? undefined : indexOf(item, id) ?? -1;
      if (after === -1) throw unknownAfterItem(item!);
      const page = await conversations.transcript(
        id,
        { after, limit, order },
        memoryLease(c).reserve,
      );
      if (after !== undefined && after >= page.total) throw unknownAfterItem(item!);
      return c.json(itemList(itemsOf(id, page), page), 200);
    })
    .handle(createItems, async (c) => {
      const { conversations } = await sessions(c);
      const { id } = c.req.valid("param");
      const messages = transcriptEntriesOf(c.req.valid("json").items, "items");
      const { before } = await conversations.addItems(id, messages, accountOf(c));
      const items = messages.map((entry, i) => itemOf(messageId(id, before + i), entry));
      return c.json(itemPage(items, { order: "asc", limit: items.length }), 200);
    })
    .handle(getItem, async (c) => {
      const { conversations } = await sessions(c);
      const { id, item_id } = c.req.valid("param");
      const index = indexOf(item_id, id);
      if (index === null) throw itemNotFound(item_id, id);
      const page = await conversations.transcript(
        id,
        { after: index - 1, limit: 1 },
        memoryLease(c).reserve,
      );
      if (page.messages.length === 0) throw itemNotFound(item_id, id);
      return c.json(itemsOf(id, page)[0], 200);
    });
}

function itemsOf(
  id: string,
  { messages, total, open }: TranscriptPage & { open: boolean },
): Item[] {
  return messages.map(({ index, ...entry }) => {
    const cut = open && index === total - 1;
    return itemOf(messageId(id, index), entry, cut ? "incomplete" : "completed");
  });
}

function itemNotFound(item: string, id: string): InferenceError {
  return new InferenceError(
    "not_found",
    `Cannot find item ${
      JSON.stringify(item.slice(0, 80))
    } in conversation "${id}": it has no such ` +
      "message; list them with GET /v1/conversations/{id}/items",
    { param: "item_id" },
  );
}

/** The same for the same place; it shows a part of the conversation's id only. */
function messageId(conversation: string, index: number): string {
  const shown = conversation.slice("conv_".length, "conv_".length + 12);
  return `msg_${shown}${index.toString(16).padStart(8, "0")}`;
}

/** The index of a message by its id; `null` for what is no id of one of the conversation's. */
function indexOf(item: string, conversation: string): number | null {
  const index = parseInt(item.slice(-8), 16);
  return item === messageId(conversation, index) ? index : null;
}

function wanted({ metadata, state_id }: ConversationChange | NewConversationBody) {
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
