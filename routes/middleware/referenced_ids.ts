/**
 * What a request's body refers to. Gateways take 404 for a backend without the route, and send
 * nobody there for a while; so an id that is unknown is 404 in a path and 400 in a body.
 */

import { ERROR_STATUS, type ErrorCode, InferenceError } from "../../src/core/errors.ts";

/** Of states that a body names. */
const STATE_CODES: readonly ErrorCode[] = ["state_not_found", "state_expired"];

/** Of routes whose bodies may name a conversation as well. */
const ALL_CODES: readonly ErrorCode[] = [...STATE_CODES, "conversation_not_found"];

/** Throws what `work` throws: with status 400 where a state of the request's body is not there. */
export async function withMissingStateAs400<T>(work: Promise<T>): Promise<T> {
  return await work.catch((error) => Promise.reject(asBadRequest(error, STATE_CODES)));
}

/** The same, of states and conversations. */
export async function withMissingReferenceAs400<T>(work: Promise<T>): Promise<T> {
  return await work.catch((error) => Promise.reject(asBadRequest(error, ALL_CODES)));
}

/** The errors of a route, of which some are about what its body names. */
export interface BodyReferenceErrors extends ReadonlyArray<ErrorCode> {
  /** Those that are answered with 400. */
  readonly badRequestCodes: readonly ErrorCode[];
}

/** Errors of a route whose body may name a state. */
export function bodyStateErrors(codes: readonly ErrorCode[]): BodyReferenceErrors {
  return Object.assign([...codes], { badRequestCodes: STATE_CODES });
}

/** The same, of a state or a conversation. */
export function bodyReferenceErrors(codes: readonly ErrorCode[]): BodyReferenceErrors {
  return Object.assign([...codes], { badRequestCodes: ALL_CODES });
}

/** Returns the status that a code has on a route with the errors `codes`. */
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
