/** Example responses of `POST /v1/chat/completions` for the OpenAPI document. */

import type { Chunk, Completion } from "./chat_response_schema.ts";
import type { ErrorBody } from "../openapi/error_schema.ts";
import { EXAMPLE_STATE } from "../openapi/ids_schema.ts";

const COMMON_FIELDS = {
  id: "chatcmpl-0123456789abcdef0123456789abcdef0123456789abcdef",
  created: 1_800_000_000,
  model: "rwkv-5-world-0.4b",
  system_fingerprint: "fp_9f2c5b7e0a1b2c3d",
};

const USAGE = {
  prompt_tokens: 6,
  completion_tokens: 5,
  total_tokens: 11,
  prompt_tokens_details: { cached_tokens: 0 },
};

export const COMPLETION_EXAMPLE: Completion = {
  ...COMMON_FIELDS,
  object: "chat.completion",
  choices: [{
    index: 0,
    message: { role: "assistant", content: "Hi there.", refusal: null },
    logprobs: null,
    finish_reason: "stop",
    state_id: EXAMPLE_STATE,
  }],
  usage: USAGE,
  state_id: EXAMPLE_STATE,
};

/** The events of a stream with usage, in order. */
export const EVENT_EXAMPLES: Record<string, { summary: string; value: Chunk | ErrorBody }> = {
  first: {
    summary: "The first chunk of a choice",
    value: chunk({ role: "assistant", content: "" }),
  },
  text: { summary: "A chunk with text", value: chunk({ content: "Hi there." }) },
  last: {
    summary: "The last chunk of a choice",
    value: {
      ...COMMON_FIELDS,
      object: "chat.completion.chunk",
      choices: [{
        index: 0,
        delta: {},
        logprobs: null,
        finish_reason: "stop",
        state_id: EXAMPLE_STATE,
      }],
      usage: null,
      state_id: EXAMPLE_STATE,
    },
  },
  usage: {
    summary: "The chunk with the usage",
    value: {
      ...COMMON_FIELDS,
      object: "chat.completion.chunk",
      choices: [],
      usage: USAGE,
      state_id: EXAMPLE_STATE,
    },
  },
};

function chunk(delta: Chunk["choices"][number]["delta"]): Chunk {
  return {
    ...COMMON_FIELDS,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, logprobs: null, finish_reason: null }],
    usage: null,
  };
}
