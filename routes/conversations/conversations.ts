/** `/v1/conversations`: named references to states, which each turn advances. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";
import type { Conversation } from "../../src/session/session_types.ts";
import { bodyStateErrors, withMissingStateAs400 } from "../middleware/referenced_ids.ts";
import {
  type ConversationChange,
  conversationChangeSchema,
  type ConversationObject,
  conversationSchema,
  CREATE_ONLY_FIELDS,
  deletedConversationSchema,
  type NewConversationBody,
  newConversationSchema,
  newItemsSchema,
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
  item_id: z.string().openapi({ description: "The message id.", example: EXAMPLE_MESSAGE }),
});

/** Errors of looking up a conversation. */
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
  summary: "Create a conversation",
  description:
    "Creates a conversation, empty or from a state, with optional `items` that the first turn " +
    "processes. Turns in the conversation resume its current state and advance it.",
  request: {
    body: jsonBody(newConversationSchema, "The initial state, items and metadata; may be `{}`."),
  },
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
  summary: "Retrieve a conversation",
  description: "Retrieves the current state and the metadata.",
  request: { params },
  responses: { 200: jsonResponse(conversationSchema, "The conversation.") },
  errors: LOOKUP_ERRORS,
});

const updateConversation = defineRoute({
  method: "post",
  path: "/conversations/{id}",
  operationId: "updateConversation",
  tags,
  summary: "Update a conversation",
  description: "Replaces the metadata, the state, or both. Omitted fields are unchanged.",
  request: { params, body: jsonBody(conversationChangeSchema, "The fields to change.") },
  responses: { 200: jsonResponse(conversationSchema, "The updated conversation.") },
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
  description: "Deletes the conversation but not its states.",
  request: { params },
  responses: { 200: jsonResponse(deletedConversationSchema, "The conversation was deleted.") },
  errors: LOOKUP_ERRORS,
});

const listItems = defineRoute({
  method: "get",
  path: "/conversations/{id}/items",
  operationId: "listConversationItems",
  tags,
  summary: "List conversation items",
  description: "Lists the messages of the conversation, without the `instructions` of responses.",
  request: { params, query: itemListQuery },
  responses: { 200: jsonResponse(itemListSchema, "The messages.") },
  errors: [...LOOKUP_ERRORS, ...STATE_ERRORS, "overloaded", "invalid_value"],
});

const createItems = defineRoute({
  method: "post",
  path: "/conversations/{id}/items",
  operationId: "createConversationItems",
  tags,
  summary: "Create conversation items",
  description:
    "Appends messages to the conversation. The next turn processes them before its own. If the " +
    "last one is a user message, a turn without messages replies to it.",
  request: { params, body: jsonBody(newItemsSchema, "The messages.") },
  responses: { 200: jsonResponse(itemListSchema, "The added messages.") },
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
  summary: "Retrieve a conversation item",
  description:
    "Retrieves a message by its id from the list of items. Messages cannot be deleted, " +
    "because the model's state has already processed them.",
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
      const initial = { ...changesOf(body), items: transcriptEntriesOf(body.items ?? [], "items") };
      const create = () => withMissingStateAs400(conversations.create(initial, account));
      const created = await account?.createConversation(create) ?? await create();
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
      assertSupported(body, CREATE_ONLY_FIELDS);
      const changed = await withMissingStateAs400(conversations.update(id, changesOf(body)));
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
      const { precedingMessages } = await conversations.addItems(id, messages, accountOf(c));
      const items = messages.map((entry, i) => itemOf(messageId(id, precedingMessages + i), entry));
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
    const incomplete = open && index === total - 1;
    return itemOf(messageId(id, index), entry, incomplete ? "incomplete" : "completed");
  });
}

function itemNotFound(item: string, id: string): InferenceError {
  return new InferenceError(
    "not_found",
    `Cannot find item ${JSON.stringify(item.slice(0, 80))} in conversation "${id}": no such ` +
      "message; list them with GET /v1/conversations/{id}/items",
    { param: "item_id" },
  );
}

/** Returns the id of a message: a prefix of the conversation's id, and the message's index. */
function messageId(conversation: string, index: number): string {
  const prefix = conversation.slice("conv_".length, "conv_".length + 12);
  return `msg_${prefix}${index.toString(16).padStart(8, "0")}`;
}

/** Returns the index of a message id, or `null` if it is not an id of this conversation. */
function indexOf(item: string, conversation: string): number | null {
  const index = parseInt(item.slice(-8), 16);
  return item === messageId(conversation, index) ? index : null;
}

function changesOf({ metadata, state_id }: ConversationChange | NewConversationBody) {
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
