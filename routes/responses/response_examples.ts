/** Example responses of `/v1/responses` for the OpenAPI document. */

import { EXAMPLE_STATE } from "../openapi/ids_schema.ts";
import { EXAMPLE_MESSAGE } from "./item_schema.ts";
import type { ResponseEvent } from "./response_event_schema.ts";
import { responseObject, type ResponseStart } from "./response_object.ts";

const START: ResponseStart = {
  finalStateId: EXAMPLE_STATE,
  stateId: EXAMPLE_STATE,
  created: 1_800_000_000_000,
  note: {
    message: EXAMPLE_MESSAGE,
    input: [],
    given: {
      conversation: null,
      instructions: null,
      max_output_tokens: null,
      metadata: {},
      model: "rwkv-5-world-0.4b",
      parallel_tool_calls: true,
      previous_response_id: null,
      store: true,
      temperature: 1,
      text: { format: { type: "text" } },
      tool_choice: "auto",
      top_logprobs: 0,
      top_p: 1,
      truncation: "disabled",
      user: null,
    },
  },
};

export const RESPONSE_EXAMPLE = responseObject(START, {
  finishReason: "stop",
  usage: {
    prompt_tokens: 6,
    completion_tokens: 5,
    total_tokens: 11,
    prompt_tokens_details: { cached_tokens: 0 },
  },
  text: "Hi there.",
});

/** Some events of a stream, in order. */
export const RESPONSE_EVENT_EXAMPLES: Record<string, { summary: string; value: ResponseEvent }> = {
  created: {
    summary: "The first event",
    value: { type: "response.created", sequence_number: 0, response: responseObject(START, null) },
  },
  delta: {
    summary: "A part of the text",
    value: {
      type: "response.output_text.delta",
      sequence_number: 4,
      item_id: EXAMPLE_MESSAGE,
      output_index: 0,
      content_index: 0,
      delta: "Hi there.",
      logprobs: [],
    },
  },
  completed: {
    summary: "The last event",
    value: { type: "response.completed", sequence_number: 8, response: RESPONSE_EXAMPLE },
  },
};
