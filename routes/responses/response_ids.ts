/**
 * Response ids: `resp_` and the digits of the response's state id. No lookup is needed to resume a
 * response.
 */

import { InferenceError } from "../../src/core/errors.ts";

const RESPONSE_ID = /^resp_([0-9a-f]{48})$/;

/** Returns the id of the response with a state. */
export function responseIdOf(stateId: string): string {
  return stateId.replace(/^state_/, "resp_");
}

/**
 * Returns the id of a response's state.
 *
 * @throws InferenceError `response_not_found` for an invalid response id
 */
export function stateIdOf(responseId: string): string {
  const digits = RESPONSE_ID.exec(responseId)?.[1];
  if (digits === undefined) throw responseNotFound(responseId);
  return `state_${digits}`;
}

/**
 * Returns the state id of `previous_response_id`.
 *
 * @throws InferenceError `previous_response_not_found` for an invalid response id
 */
export function previousStateId(responseId: string): string {
  if (!RESPONSE_ID.test(responseId)) throw previousResponseNotFound(responseId);
  return stateIdOf(responseId);
}

/** Returns the error for an unknown response. */
export function responseNotFound(id: string): InferenceError {
  return new InferenceError(
    "response_not_found",
    `Cannot find response ${JSON.stringify(id.slice(0, 80))}: no such id, or it was not ` +
      "stored, was deleted, or has expired",
  );
}

/** Returns the error for an unknown `previous_response_id`. */
export function previousResponseNotFound(id: string): InferenceError {
  return new InferenceError(
    "previous_response_not_found",
    `Cannot continue response ${JSON.stringify(id.slice(0, 80))}: no such id, or it was not ` +
      "stored, was deleted, or has expired",
    { param: "previous_response_id" },
  );
}

/** Converts an error about fields of a turn request to the fields of `/v1/responses`. */
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
    const converted = message.replaceAll("response_format", "text.format")
      .replaceAll("messages", "input");
    const own = param.replace("response_format", "text.format");
    return new InferenceError(code, converted, { param: own, cause: error });
  }
  if (!param?.startsWith("messages")) return error;
  const converted = message.replace(/^messages(\[\d+\]\.content)?/, "input")
    .replace("state_id", "previous_response_id");
  return new InferenceError(code, converted, { param: "input", cause: error });
}
