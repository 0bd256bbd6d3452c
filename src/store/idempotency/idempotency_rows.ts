/** The rows under which kept answers are found, and what requests with a key are refused for. */

import { InferenceError } from "../../core/errors.ts";
import { type BlobReference, isBlobReference } from "../states/blobs.ts";
import { damagedRow, decodeRow, isTime } from "../row_json.ts";

/** Why an answer that was given is not stored. */
export type MissingResponse = "deleted" | "too_large";

const GONE: readonly unknown[] = ["deleted", "too_large"] satisfies MissingResponse[];

/** What is stored under a key: a claim, then an answer, or why there is none. */
export interface IdempotencyRow {
  version: 1;
  /** Hash of the request's body; empty where the answer is gone. */
  body: string;
  /** Whose claim it is, or was. */
  owner: string;
  /** Epoch milliseconds: of the answer. That of a claim is for older workers and not looked at. */
  expires: number;
  answer: BlobReference | null;
  gone?: MissingResponse;
  /** A state that has the text of an answer which was too large. */
  state?: string;
}

export function encodeIdempotencyRow(row: IdempotencyRow): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(row));
}

/** @throws InferenceError `state_damaged` */
export function decodeIdempotencyRow(bytes: Uint8Array): IdempotencyRow {
  const options = { kind: "an answer that was given before", row: "it" };
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

/** Bytes of a row and of the answer that it leads to, unless that has run out. */
export function responseBytes(row: Uint8Array, now: number): number {
  try {
    const { expires, answer } = decodeIdempotencyRow(row);
    return expires > now ? row.length + (answer?.bytes ?? 0) : 0;
  } catch {
    // Whoever asks for it is told that it is damaged.
    return row.length;
  }
}

export function keyReused(key: string): InferenceError {
  return refusal(
    "idempotency_key_reused",
    key,
    "was sent with another body before; send a new key with a new request",
  );
}

export function inProgress(key: string): InferenceError {
  return refusal(
    "request_in_progress",
    key,
    "belongs to a request that is still in progress; try again in a moment",
  );
}

export function responseMissing(key: string, { gone, state }: IdempotencyRow): InferenceError {
  const where = state === undefined ? "" : `; the reply is in state "${state}"`;
  const what = gone === "deleted" ? "was deleted with its state" : `was too large to keep${where}`;
  return refusal(
    "answer_gone",
    key,
    `belongs to an answer that ${what}; send a new key to run the request again`,
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
