/** Turns as OpenAI's chat completion objects. */

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

/** What every object of one turn begins with. */
export type CommonFields = Pick<Completion, "id" | "created" | "model" | "system_fingerprint">;

export interface ChunkOptions {
  /** Of the choice. */
  index: number;
  finishReason?: FinishReason | undefined;
  /** At its end; `null`: it was not stored, which `warning` explains if that was not asked for. */
  stateId?: string | null;
  warning?: string;
  /** Of the text, where they are asked for. */
  tokens?: readonly TextToken[];
  /** Whether a chunk with the usage is to come: the others say `null` then. */
  includeUsage?: boolean | undefined;
}

/** @param kind What ids begin with. */
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

/** @param results The choices, one or more. */
export function chatCompletion(heading: CommonFields, results: readonly TurnResult[]): Completion {
  return {
    ...heading,
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

/** The state that a choice leads to. */
export function stateFieldsOf({ stateId, warning }: Pick<ChunkOptions, "stateId" | "warning">) {
  return {
    ...(stateId === undefined ? {} : { state_id: stateId }),
    ...(warning === undefined ? {} : { warning }),
  };
}

/** The prompt is read once for all choices. */
export function usageOf(ends: readonly TurnEnd[]): Usage {
  const [{ usage }] = ends;
  const written = ends.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
  const total = usage.prompt_tokens + written;
  return { ...usage, completion_tokens: written, total_tokens: total };
}

export function chatChunk(
  heading: CommonFields,
  delta: Delta,
  { index, finishReason, tokens, includeUsage = false, ...end }: ChunkOptions,
): Chunk {
  const state = stateFieldsOf(end);
  return {
    ...heading,
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

export function usageChunk(heading: CommonFields, ends: readonly TurnEnd[]): Chunk {
  return {
    ...heading,
    object: "chat.completion.chunk",
    choices: [],
    usage: usageOf(ends),
    ...stateFieldsOf(ends[0]),
  };
}
