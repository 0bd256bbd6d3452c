/** Turns as OpenAI's chat completion objects. */

import type { FinishReason, TurnEnd, TurnResult, Usage } from "../src/session/session_types.ts";
import type { SessionModel } from "../src/session/session_types.ts";
import type { Turn } from "../src/session/turn.ts";

/** What every object of one turn begins with. */
export interface Heading {
  id: string;
  created: number;
  model: string;
  system_fingerprint: string;
}

export interface ChunkOptions {
  finishReason?: FinishReason | undefined;
  stateId?: string | undefined;
  /** Whether a chunk with the usage is to come: the others say `null` then. */
  includeUsage?: boolean | undefined;
}

export function headingOf(turn: Turn, model: SessionModel): Heading {
  return {
    id: `chatcmpl-${turn.id}`,
    created: Math.floor(turn.created / 1000),
    model: model.id,
    system_fingerprint: `fp_${model.fingerprint.replace(/^\w+:/, "").slice(0, 16)}`,
  };
}

export function completion(heading: Heading, result: TurnResult) {
  return {
    ...heading,
    object: "chat.completion",
    choices: [{
      index: 0,
      message: { role: "assistant", content: result.text, refusal: null },
      logprobs: null,
      finish_reason: result.finishReason,
    }],
    usage: result.usage,
    state_id: result.stateId,
  };
}

export function chunk(
  heading: Heading,
  delta: { role?: "assistant"; content?: string },
  { finishReason, stateId, includeUsage = false }: ChunkOptions = {},
) {
  return {
    ...heading,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason ?? null }],
    ...(includeUsage ? { usage: null } : {}),
    ...(stateId === undefined ? {} : { state_id: stateId }),
  };
}

export function usageChunk(heading: Heading, end: TurnEnd) {
  const usage: Usage = end.usage;
  const object = "chat.completion.chunk";
  return { ...heading, object, choices: [], usage, state_id: end.stateId };
}
