/** Server-sent events of `POST /v1/responses` with `stream`. */

import { z } from "@hono/zod-openapi";
import { EXAMPLE_MESSAGE, outputMessageSchema, outputTextSchema } from "./item_schema.ts";
import { responseSchema } from "./response_schema.ts";

const sequence_number = z.int().min(0).openapi({
  description: "Index of the event in the stream.",
  example: 0,
});
const zero = (description: string) => z.literal(0).openapi({ description, example: 0 });

const itemFields = {
  item_id: z.string().openapi({ description: "Id of the message.", example: EXAMPLE_MESSAGE }),
  output_index: zero("Index of the message; there is only one."),
  content_index: zero("Index of the text; there is only one."),
};
const logprobs = outputTextSchema.shape.logprobs;

function typed<T extends string>(...types: [T, ...T[]]) {
  return z.enum(types).openapi({ description: "The event type.", example: types[0] });
}

const responseEvent = z.object({
  type: typed(
    "response.created",
    "response.in_progress",
    "response.completed",
    "response.incomplete",
    "response.failed",
  ),
  sequence_number,
  response: responseSchema,
}).openapi("ResponseStatusEvent", { description: "The status of the response changed." });

const itemEvent = z.object({
  type: typed("response.output_item.added", "response.output_item.done"),
  sequence_number,
  output_index: itemFields.output_index,
  item: outputMessageSchema,
}).openapi("ResponseItemEvent", { description: "The message was started or completed." });

const partEvent = z.object({
  type: typed("response.content_part.added", "response.content_part.done"),
  sequence_number,
  ...itemFields,
  part: outputTextSchema,
}).openapi("ResponsePartEvent", { description: "The text was started or completed." });

const deltaEvent = z.object({
  type: typed("response.output_text.delta"),
  sequence_number,
  ...itemFields,
  delta: z.string().openapi({ description: "The next part of the text.", example: "Hi" }),
  logprobs,
}).openapi("ResponseDeltaEvent");

const textEvent = z.object({
  type: typed("response.output_text.done"),
  sequence_number,
  ...itemFields,
  text: z.string().openapi({ description: "The complete text.", example: "Hi there." }),
  logprobs,
}).openapi("ResponseTextEvent");

const errorEvent = z.object({
  type: typed("error"),
  sequence_number,
  code: z.string().nullable().openapi({
    description: "The error code.",
    example: "conversation_conflict",
  }),
  message: z.string().openapi({
    description: "What went wrong.",
    example: "The conversation was changed",
  }),
  param: z.string().nullable().openapi({
    description: "The field that caused the error.",
    example: "conversation",
  }),
}).openapi("ResponseErrorEvent", {
  description: "The reply is complete but could not be added to the conversation.",
});

export const responseEventSchema = z.union([
  responseEvent,
  itemEvent,
  partEvent,
  deltaEvent,
  textEvent,
  errorEvent,
]).openapi("ResponseEvent", { description: "The data of one event." });

export type ResponseEvent = z.infer<typeof responseEventSchema>;
