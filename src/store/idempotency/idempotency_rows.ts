/** Rows of idempotency records, and the errors of requests with a key. */

import { InferenceError } from "../../core/errors.ts";
import { type BlobReference, isBlobReference } from "../states/blobs.ts";
import { damagedRow, decodeRow, isTime } from "../row_json.ts";

/** Why a response is not stored. */
export type MissingResponse = "deleted" | "too_large";

const GONE: readonly unknown[] = ["deleted", "too_large"] satisfies MissingResponse[];

/** A record: first a claim, then a response, or the reason why there is none. */
export interface IdempotencyRow {
  version: 1;
  /** Hash of the request body; empty if the response was deleted. */
  body: string;
  /** Id of the claim. */
  owner: string;
  /** Expiry of the response in epoch milliseconds. For claims, only older workers read it. */
  expires: number;
  answer: BlobReference | null;
  gone?: MissingResponse;
  /** A state with the text of a response that was too large to store. */
  state?: string;
}

export function encodeIdempotencyRow(row: IdempotencyRow): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(row));
}

/** @throws InferenceError `state_damaged` */
export function decodeIdempotencyRow(bytes: Uint8Array): IdempotencyRow {
  const options = { kind: "a stored response", row: "it" };
  const { body, owner, expires, answer, gone, state } = decodeRow(bytes, options);
  const fine = typeof body === "string" && typeof owner === "string" && isTime(expires) &&
    (answer === null || isBlobReference(answer)) && (gone === undefined || GONE.includes(gone)) &&
    (state === undefined || typeof state === "string");
  if (!fine) throw damagedRow("it lacks fields", options);
  return {
    version: 1,
    body,
    owner,
    expires,
    answer,
    ...(gone === undefined ? {} : { gone: gone as MissingResponse }),
    ...(state === undefined ? {} : { state }),
  };
}

/** Returns the bytes of a row and its response, or 0 if they have expired. */
export function responseBytes(row: Uint8Array, now: number): number {
  try {
    const { expires, answer } = decodeIdempotencyRow(row);
    return expires > now ? row.length + (answer?.bytes ?? 0) : 0;
  } catch {
    // A request for it reports that it is damaged.
    return row.length;
  }
}

export function keyReused(key: string): InferenceError {
  return refusal(
    "idempotency_key_reused",
    key,
    "was used with another request body; use a new key for a new request",
  );
}

export function inProgress(key: string): InferenceError {
  return refusal(
    "request_in_progress",
    key,
    "belongs to a request that is still running; retry later",
  );
}

export function responseMissing(key: string, { gone, state }: IdempotencyRow): InferenceError {
  const where = state === undefined ? "" : `; the reply is in state "${state}"`;
  const what = gone === "deleted" ? "was deleted with its state" : `was too large to store${where}`;
  return refusal(
    "answer_gone",
    key,
    `belongs to a response that ${what}; use a new key to run the request again`,
    state,
  );
}

function refusal(
  code: "idempotency_key_reused" | "request_in_progress" | "answer_gone",
  key: string,
  what: string,
  stateId?: string,
): InferenceError {
  const message = `Idempotency-Key: ${JSON.stringify(key)} ${what}`;
  return new InferenceError(code, message, { param: "Idempotency-Key", stateId });
}
