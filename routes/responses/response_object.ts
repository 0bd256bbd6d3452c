/** Builds OpenAI's response objects from running turns and from stored ones. */

import type { TurnResult } from "../../src/session/session_types.ts";
import { outputMessage } from "./items.ts";
import { responseIdOf } from "./response_ids.ts";
import type { ResponseRequestRecord } from "./response_request.ts";
import type { ResponseObject, ResponseUsage } from "./response_schema.ts";
import type { ReportedResult, TurnReport } from "../../src/session/session_api.ts";

/** A response in progress. */
export interface ResponseStart {
  /** Id of the response's state, which may not be stored. */
  finalStateId: string;
  /** The same id if the state can be resumed, else `null`. */
  stateId: string | null;
  /** Epoch milliseconds. */
  created: number;
  note: ResponseRequestRecord;
}

/** The end of a response. */
export type ResponseEnd =
  & ReportedResult
  & Partial<Pick<TurnResult, "stateId" | "warning" | "tokens">>;

/** Builds a response object: without `end`, of a response in progress. */
export function responseObject(start: ResponseStart, end: ResponseEnd | null): ResponseObject {
  const { finalStateId, created, note: { message, given } } = start;
  const status = end === null ? "in_progress" : responseStatus(end);
  const stateId = end?.stateId === undefined ? start.stateId : end.stateId;
  return {
    id: responseIdOf(finalStateId),
    object: "response",
    created_at: Math.floor(created / 1000),
    status,
    background: false,
    error: null,
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    ...given,
    output: end === null ? [] : [outputMessage(message, end, responseStatus(end))],
    reasoning: { effort: null, summary: null },
    tools: [],
    usage: end && usageOf(end),
    state_id: stateId,
    ...(end?.warning === undefined ? {} : { warning: end.warning }),
  };
}

/** Builds the object of a stored response. */
export function storedResponse(
  stateId: string,
  { note, created, end }: TurnReport,
): ResponseObject {
  const start = { finalStateId: stateId, stateId, created, note: note as ResponseRequestRecord };
  return responseObject(start, end);
}

/** Returns the status of an ended response. */
export function responseStatus({ finishReason }: ReportedResult): "completed" | "incomplete" {
  return finishReason === "stop" ? "completed" : "incomplete";
}

function usageOf({ usage }: ReportedResult): ResponseUsage {
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: usage.prompt_tokens_details.cached_tokens },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: usage.total_tokens,
  };
}
