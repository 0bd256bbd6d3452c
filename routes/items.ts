/** Messages as items, and lists of them page by page. */

import { InferenceError } from "../src/core/errors.ts";
import type { Item, ItemList, ItemListQuery, ItemStatus, OutputMessage } from "./item_schema.ts";

const PAGE_ITEMS = 20;

export function newMessageId(): string {
  return `msg_${crypto.getRandomValues(new Uint8Array(24)).toHex()}`;
}

export function outputMessage(id: string, text: string, status: ItemStatus): OutputMessage {
  return {
    id,
    type: "message",
    status,
    role: "assistant",
    content: status === "in_progress" ? [] : [outputText(text)],
  };
}

export function outputText(text: string): OutputMessage["content"][number] {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

export function itemOf(
  id: string,
  { role, content }: { role: "system" | "developer" | "user" | "assistant"; content: string },
  status: ItemStatus = "completed",
): Item {
  if (role === "assistant") return outputMessage(id, content, status);
  return { id, type: "message", status, role, content: [{ type: "input_text", text: content }] };
}

/**
 * @param items In the order in which they were said.
 * @throws InferenceError `invalid_value` if there is no item `after`
 */
export function pageOf(items: readonly Item[], query: ItemListQuery): ItemList {
  const { after, limit = PAGE_ITEMS, order = "desc" } = query;
  const ordered = order === "asc" ? items : items.toReversed();
  const before = ordered.findIndex(({ id }) => id === after);
  if (after !== undefined && before < 0) {
    throw new InferenceError(
      "invalid_value",
      `after: there is no item ${JSON.stringify(after.slice(0, 80))} in this list`,
      { param: "after" },
    );
  }
  const data = ordered.slice(before + 1, before + 1 + limit);
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: before + 1 + limit < ordered.length,
  };
}
