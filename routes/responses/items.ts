/** Messages as items, and lists of them page by page. */

import { InferenceError } from "../../src/core/errors.ts";
import type { TextToken } from "../../src/session/session_types.ts";
import type { Item, ItemList, ItemListQuery, ItemStatus, OutputMessage } from "./item_schema.ts";
import { tokenLogprobs } from "../generation/logprobs_schema.ts";

/** Items of a page, unless the request says otherwise. */
export const DEFAULT_PAGE_SIZE = 20;

export function newMessageId(): string {
  return `msg_${crypto.getRandomValues(new Uint8Array(24)).toHex()}`;
}

/** @param tokens Of the text, where it is told how probable they were. */
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

export function outputText(
  text: string,
  tokens: readonly TextToken[] = [],
): OutputMessage["content"][number] {
  return { type: "output_text", text, annotations: [], logprobs: tokenLogprobs(tokens) };
}

export function itemOf(
  id: string,
  { role, content }: { role: "system" | "developer" | "user" | "assistant"; content: string },
  status: ItemStatus = "completed",
): Item {
  if (role === "assistant") return outputMessage(id, { text: content }, status);
  return { id, type: "message", status, role, content: [{ type: "input_text", text: content }] };
}

/**
 * @param items In the order in which they were said.
 * @throws InferenceError `invalid_value` if there is no item `after`
 */
export function itemPage(items: readonly Item[], query: ItemListQuery): ItemList {
  const { after, limit = DEFAULT_PAGE_SIZE, order = "desc" } = query;
  const ordered = order === "asc" ? items : items.toReversed();
  const before = ordered.findIndex(({ id }) => id === after);
  if (after !== undefined && before < 0) throw unknownAfterItem(after);
  const data = ordered.slice(before + 1, before + 1 + limit);
  return itemList(data, { hasMore: before + 1 + limit < ordered.length });
}

export function itemList(data: Item[], { hasMore }: { hasMore: boolean }): ItemList {
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  };
}

export function unknownAfterItem(id: string): InferenceError {
  return new InferenceError(
    "invalid_value",
    `after: there is no item ${JSON.stringify(id.slice(0, 80))} in this list`,
    { param: "after" },
  );
}
