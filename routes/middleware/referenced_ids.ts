/**
 * Errors about ids in a request body. Gateways interpret 404 as a backend without the route and stop
 * sending it requests; so an unknown id is 404 in a path, and 400 in a body.
 */

import { ERROR_STATUS, type ErrorCode, InferenceError } from "../../src/core/errors.ts";

/** Errors about a state that a body references. */
const STATE_CODES: readonly ErrorCode[] = ["state_not_found", "state_expired"];

/** The same, and errors about a conversation. */
const ALL_CODES: readonly ErrorCode[] = [...STATE_CODES, "conversation_not_found"];

/** Awaits `work`, and changes the status of an error about a missing state to 400. */
export async function withMissingStateAs400<T>(work: Promise<T>): Promise<T> {
  return await work.catch((error) => Promise.reject(asBadRequest(error, STATE_CODES)));
}

/** Awaits `work`, and changes the status of an error about a missing state or conversation to 400. */
export async function withMissingReferenceAs400<T>(work: Promise<T>): Promise<T> {
  return await work.catch((error) => Promise.reject(asBadRequest(error, ALL_CODES)));
}

/** The errors of a route, some of which are about ids in its body. */
export interface BodyReferenceErrors extends ReadonlyArray<ErrorCode> {
  /** Codes that have status 400 on this route. */
  readonly badRequestCodes: readonly ErrorCode[];
}

/** Marks the errors of a route whose body may reference a state. */
export function bodyStateErrors(codes: readonly ErrorCode[]): BodyReferenceErrors {
  return Object.assign([...codes], { badRequestCodes: STATE_CODES });
}

/** Marks the errors of a route whose body may reference a state or a conversation. */
export function bodyReferenceErrors(codes: readonly ErrorCode[]): BodyReferenceErrors {
  return Object.assign([...codes], { badRequestCodes: ALL_CODES });
}

/** Returns the status of an error code on a route with the errors `codes`. */
export function statusOnRoute(
  code: ErrorCode,
  codes: readonly ErrorCode[] | BodyReferenceErrors,
): number {
  return "badRequestCodes" in codes && codes.badRequestCodes.includes(code)
    ? 400
    : ERROR_STATUS[code];
}

function asBadRequest(error: unknown, codes: readonly ErrorCode[]): unknown {
  if (!(error instanceof InferenceError) || !codes.includes(error.code)) return error;
  const { code, message, param } = error;
  return new InferenceError(code, message, { param, status: 400, cause: error });
}
