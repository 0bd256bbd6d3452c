/** Builds items from messages, and pages of items. */

import { InferenceError } from "../../src/core/errors.ts";
import type { TextToken } from "../../src/session/session_types.ts";
import type { Item, ItemList, ItemListQuery, ItemStatus, OutputMessage } from "./item_schema.ts";
import { tokenLogprobs } from "../generation/logprobs_schema.ts";

/** Default number of items on a page. */
export const DEFAULT_PAGE_SIZE = 20;

/** Returns a random message id. */
export function newMessageId(): string {
  return `msg_${crypto.getRandomValues(new Uint8Array(24)).toHex()}`;
}

/**
 * Builds an assistant message.
 *
 * @param tokens Tokens of the text, if log probabilities were requested.
 */
export function outputMessage(
  id: string,
  { text, tokens }: { text: string; tokens?: readonly TextToken[] | undefined },
  status: ItemStatus,
): OutputMessage {
  return {
    id,
    type: "message",
    status,
    role: "assistant",
    content: status === "in_progress" ? [] : [outputText(text, tokens)],
  };
}

/** Builds the text part of an assistant message. */
export function outputText(
  text: string,
  tokens: readonly TextToken[] = [],
): OutputMessage["content"][number] {
  return { type: "output_text", text, annotations: [], logprobs: tokenLogprobs(tokens) };
}

/** Builds an item from a transcript entry. */
export function itemOf(
  id: string,
  { role, content }: { role: "system" | "developer" | "user" | "assistant"; content: string },
  status: ItemStatus = "completed",
): Item {
  if (role === "assistant") return outputMessage(id, { text: content }, status);
  return { id, type: "message", status, role, content: [{ type: "input_text", text: content }] };
}

/**
 * Returns a page of items.
 *
 * @param items In chronological order.
 * @throws InferenceError `invalid_value` if the item `after` does not exist
 */
export function itemPage(items: readonly Item[], query: ItemListQuery): ItemList {
  const { after, limit = DEFAULT_PAGE_SIZE, order = "desc" } = query;
  const ordered = order === "asc" ? items : items.toReversed();
  const afterIndex = ordered.findIndex(({ id }) => id === after);
  if (after !== undefined && afterIndex < 0) throw unknownAfterItem(after);
  const data = ordered.slice(afterIndex + 1, afterIndex + 1 + limit);
  return itemList(data, { hasMore: afterIndex + 1 + limit < ordered.length });
}

/** Builds an item list. */
export function itemList(data: Item[], { hasMore }: { hasMore: boolean }): ItemList {
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  };
}

/** Returns the error for an unknown item in `after`. */
export function unknownAfterItem(id: string): InferenceError {
  return new InferenceError(
    "invalid_value",
    `after: this list has no item ${JSON.stringify(id.slice(0, 80))}; send the last_id of a page`,
    { param: "after" },
  );
}
