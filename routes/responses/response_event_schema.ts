/** The events of `POST /v1/responses` with `stream`. */

import { z } from "@hono/zod-openapi";
import { EXAMPLE_MESSAGE, outputMessageSchema, outputTextSchema } from "./item_schema.ts";
import { responseSchema } from "./response_schema.ts";

const sequence_number = z.int().min(0).openapi({
  description: "Counts the stream's events.",
  example: 0,
});
const zero = (description: string) => z.literal(0).openapi({ description, example: 0 });

const itemFields = {
  item_id: z.string().openapi({ description: "Of the message.", example: EXAMPLE_MESSAGE }),
  output_index: zero("Of the message; there is one."),
  content_index: zero("Of the text; there is one."),
};
const logprobs = outputTextSchema.shape.logprobs;

function typed<T extends string>(...types: [T, ...T[]]) {
  return z.enum(types).openapi({ description: "The event's name.", example: types[0] });
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
}).openapi("ResponseStatusEvent", { description: "How the response stands." });

const itemEvent = z.object({
  type: typed("response.output_item.added", "response.output_item.done"),
  sequence_number,
  output_index: itemFields.output_index,
  item: outputMessageSchema,
}).openapi("ResponseItemEvent", { description: "The message begins, or is whole." });

const partEvent = z.object({
  type: typed("response.content_part.added", "response.content_part.done"),
  sequence_number,
  ...itemFields,
  part: outputTextSchema,
}).openapi("ResponsePartEvent", { description: "The text begins, or is whole." });

const deltaEvent = z.object({
  type: typed("response.output_text.delta"),
  sequence_number,
  ...itemFields,
  delta: z.string().openapi({ description: "More of the text.", example: "Hi" }),
  logprobs,
}).openapi("ResponseDeltaEvent");

const textEvent = z.object({
  type: typed("response.output_text.done"),
  sequence_number,
  ...itemFields,
  text: z.string().openapi({ description: "The whole text.", example: "Hi there." }),
  logprobs,
}).openapi("ResponseTextEvent");

const errorEvent = z.object({
  type: typed("error"),
  sequence_number,
  code: z.string().nullable().openapi({
    description: "The kind of error.",
    example: "conversation_conflict",
  }),
  message: z.string().openapi({ description: "What went wrong.", example: "It has gone on" }),
  param: z.string().nullable().openapi({
    description: "The field that it is about.",
    example: "conversation",
  }),
}).openapi("ResponseErrorEvent", {
  description: "The reply is whole, and could not be made part of the conversation.",
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
