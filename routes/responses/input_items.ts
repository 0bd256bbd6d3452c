/** Input items: messages in requests of the Responses and Conversations APIs. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";
import { cleanText, type TranscriptEntry } from "../../src/prompt/chat_template.ts";

const part = z.object({
  type: z.enum(["input_text", "output_text"], {
    error: "only parts of type input_text and output_text are supported",
  }).openapi({ description: "Only text is supported.", example: "input_text" }),
  text: z.string().openapi({ description: "The text.", example: "Hello" }),
}).openapi("ResponseInputPart");

export const inputItem = z.object({
  type: z.literal("message", { error: "only items of type message are supported" }).nullish()
    .openapi({ description: "Optional.", example: "message" }),
  role: z.enum(["system", "developer", "user", "assistant"], {
    error: "expected system, developer, user or assistant",
  }).openapi({ description: "Role of the author.", example: "user" }),
  content: z.union([z.string(), z.array(part)], {
    error: "expected a string or a list of parts",
  }).openapi({
    description: "A string, or a list of text parts, which are joined with newlines.",
    example: "Hello",
  }),
}).openapi("ResponseInputItem");

/**
 * Converts input items to transcript entries.
 *
 * @param name Name of the request field.
 * @throws InferenceError `invalid_value` for an empty user message
 */
export function transcriptEntriesOf(
  items: readonly z.infer<typeof inputItem>[],
  name: string,
): TranscriptEntry[] {
  return items.map(({ role, content }, i) => {
    const text = typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
    return transcriptEntryOf(`${name}[${i}].content`, role, text);
  });
}

/**
 * Returns a transcript entry.
 *
 * @throws InferenceError `invalid_value` for an empty user message
 */
export function transcriptEntryOf(
  param: string,
  role: TranscriptEntry["role"],
  content: string,
): TranscriptEntry {
  if (role !== "user" || cleanText(content) !== "") return { role, content };
  const message = `${param}: the message is empty; send text to reply to`;
  throw new InferenceError("invalid_value", message, { param });
}
