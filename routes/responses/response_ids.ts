/**
 * Ids of responses: `resp_` and the digits of the state that the response leads to, so that going
 * on from one needs no look-up.
 */

import { InferenceError } from "../../src/core/errors.ts";

const RESPONSE_ID = /^resp_([0-9a-f]{48})$/;

export function responseIdOf(stateId: string): string {
  return stateId.replace(/^state_/, "resp_");
}

/** @throws InferenceError `response_not_found` for what cannot be the id of a response. */
export function stateIdOf(responseId: string): string {
  const digits = RESPONSE_ID.exec(responseId)?.[1];
  if (digits === undefined) throw responseNotFound(responseId);
  return `state_${digits}`;
}

/** @throws InferenceError `previous_response_not_found` likewise. */
export function previousStateId(responseId: string): string {
  if (!RESPONSE_ID.test(responseId)) throw previousResponseNotFound(responseId);
  return stateIdOf(responseId);
}

export function responseNotFound(id: string): InferenceError {
  return new InferenceError(
    "response_not_found",
    `Cannot find response ${JSON.stringify(id.slice(0, 80))}: no such id, or it was not stored, ` +
      "or deleted, or has expired",
  );
}

export function previousResponseNotFound(id: string): InferenceError {
  return new InferenceError(
    "previous_response_not_found",
    `Cannot go on from response ${JSON.stringify(id.slice(0, 80))}: no such id, or it was not ` +
      "stored, or deleted, or has expired",
    { param: "previous_response_id" },
  );
}

/** What a session says of its own request, in the words of `/v1/responses`. */
export function asResponseError(error: unknown, previous: string | undefined): unknown {
  if (!(error instanceof InferenceError)) return error;
  const { code, message, param } = error;
  if (param === "state_id" && previous !== undefined) {
    if (code === "state_not_found" || code === "state_expired") {
      return previousResponseNotFound(previous);
    }
    return new InferenceError(code, message, { param: "previous_response_id", cause: error });
  }
  if (param?.startsWith("response_format")) {
    const said = message.replaceAll("response_format", "text.format")
      .replaceAll("messages", "input");
    const own = param.replace("response_format", "text.format");
    return new InferenceError(code, said, { param: own, cause: error });
  }
  if (!param?.startsWith("messages")) return error;
  const told = message.replace(/^messages(\[\d+\]\.content)?/, "input")
    .replace("state_id", "previous_response_id");
  return new InferenceError(code, told, { param: "input", cause: error });
}
