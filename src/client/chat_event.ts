/** Parses and validates the events of a chat completion stream. */

import type { ChatCompletionChunk } from "./api_types.ts";

/** Parses an event's data; returns `null` if it is not a worker's event. */
export function parseChatEvent(data: string): ChatCompletionChunk | { error: unknown } | null {
  let event: unknown;
  try {
    event = JSON.parse(data);
  } catch {
    return null;
  }
  if (!isObject(event)) return null;
  if ("error" in event) return { error: event.error };
  return isChunk(event) ? event as unknown as ChatCompletionChunk : null;
}

function isChunk({ choices, usage }: Record<string, unknown>): boolean {
  if (!Array.isArray(choices) || !isAbsentOr(usage, isObject)) return false;
  return choices.length === 0 || isChoice(choices[0]);
}

function isChoice(choice: unknown): boolean {
  if (!isObject(choice) || !isObject(choice.delta)) return false;
  const { finish_reason: reason } = choice;
  return (reason === null || reason === "stop" || reason === "length") &&
    isText(choice.delta.content) && isText(choice.warning) &&
    (choice.state_id === null || isText(choice.state_id));
}

function isText(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

function isAbsentOr(value: unknown, check: (value: unknown) => boolean): boolean {
  return value === undefined || value === null || check(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
