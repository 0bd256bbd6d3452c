/** Builds OpenAI's chat completion objects from turns. */

import type {
  FinishReason,
  SessionModel,
  TextToken,
  TurnEnd,
  TurnResult,
  Usage,
} from "../../src/session/session_types.ts";
import type { Chunk, Completion, Delta } from "./chat_response_schema.ts";
import { chatLogprobs } from "../generation/logprobs_schema.ts";
import type { Turn } from "../../src/session/session_api.ts";

/** Fields that all objects of one response share. */
export type CommonFields = Pick<Completion, "id" | "created" | "model" | "system_fingerprint">;

export interface ChunkOptions {
  /** Index of the choice. */
  index: number;
  finishReason?: FinishReason | undefined;
  /** The state after the end of the reply; `null` if it was not stored. */
  stateId?: string | null;
  warning?: string;
  /** Tokens of the text, if log probabilities were requested. */
  tokens?: readonly TextToken[];
  /** Whether the stream ends with a usage chunk; the other chunks then have `usage: null`. */
  includeUsage?: boolean | undefined;
}

/**
 * Returns the common fields of a response.
 *
 * @param kind Prefix of the id.
 */
export function commonFieldsOf(
  turn: Turn,
  model: SessionModel,
  kind: "chatcmpl" | "cmpl" = "chatcmpl",
): CommonFields {
  return {
    id: `${kind}-${turn.id}`,
    created: Math.floor(turn.created / 1000),
    model: model.id,
    system_fingerprint: `fp_${model.fingerprint.replace(/^\w+:/, "").slice(0, 16)}`,
  };
}

/** Returns a chat completion with a choice for each result. */
export function chatCompletion(common: CommonFields, results: readonly TurnResult[]): Completion {
  return {
    ...common,
    object: "chat.completion",
    choices: results.map((result, index) => ({
      index,
      message: { role: "assistant", content: result.text, refusal: null },
      logprobs: chatLogprobs(result.tokens),
      finish_reason: result.finishReason,
      ...stateFieldsOf(result),
    })),
    usage: usageOf(results),
    ...stateFieldsOf(results[0]),
  };
}

/** Returns the fields about the state of a choice. */
export function stateFieldsOf({ stateId, warning }: Pick<ChunkOptions, "stateId" | "warning">) {
  return {
    ...(stateId === undefined ? {} : { state_id: stateId }),
    ...(warning === undefined ? {} : { warning }),
  };
}

/** Returns the usage of all choices, which share one prompt. */
export function usageOf(ends: readonly TurnEnd[]): Usage {
  const [{ usage }] = ends;
  const completionTokens = ends.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
  const total = usage.prompt_tokens + completionTokens;
  return { ...usage, completion_tokens: completionTokens, total_tokens: total };
}

/** Returns a chunk of a streamed chat completion. */
export function chatChunk(
  common: CommonFields,
  delta: Delta,
  { index, finishReason, tokens, includeUsage = false, ...end }: ChunkOptions,
): Chunk {
  const state = stateFieldsOf(end);
  return {
    ...common,
    object: "chat.completion.chunk",
    choices: [{
      index,
      delta,
      logprobs: chatLogprobs(tokens),
      finish_reason: finishReason ?? null,
      ...state,
    }],
    ...(includeUsage ? { usage: null } : {}),
    ...state,
  };
}

/** Returns the final chunk with the usage of all choices. */
export function usageChunk(common: CommonFields, ends: readonly TurnEnd[]): Chunk {
  return {
    ...common,
    object: "chat.completion.chunk",
    choices: [],
    usage: usageOf(ends),
    ...stateFieldsOf(ends[0]),
  };
}
