/** Errors of the state store. */

import { type ErrorCode, InferenceError } from "../../core/errors.ts";
import { hasOtherVocabulary, type ModelIdentity } from "./manifest.ts";
import type { StateInfo } from "./state_rows.ts";

/** Attempts of a read or delete while the state is replaced concurrently. */
export const ATTEMPTS = 5;

/** @throws InferenceError `model_mismatch` */
export function assertSameModel(info: StateInfo, model: ModelIdentity): void {
  const name = ({ id, fingerprint }: ModelIdentity) => `"${id}" (${fingerprint})`;
  if (info.model.fingerprint !== model.fingerprint) {
    throw mismatch(
      info,
      `it belongs to model ${name(info.model)} and this worker runs ${name(model)}; ` +
        "resume it on a worker with its model, or reprocess the transcript (on_mismatch: reread)",
    );
  }
  if (!hasOtherVocabulary(info.model, model.vocabularyHash)) return;
  throw mismatch(
    info,
    `it was written with the vocabulary ${info.model.vocabularyHash} of model ${name(model)} and ` +
      `this worker has the vocabulary ${model.vocabularyHash}; start it with the other one ` +
      "(--vocab), or reprocess the transcript (on_mismatch: reread)",
  );
}

function mismatch({ id }: StateInfo, what: string): InferenceError {
  return new InferenceError("model_mismatch", `Cannot resume state "${id}": ${what}`, {
    param: "state_id",
  });
}

/** Changes the fingerprint of a state with another vocabulary, so that it does not match the model. */
export function withVocabulary(info: StateInfo, vocabularyHash?: string): StateInfo {
  if (!hasOtherVocabulary(info.model, vocabularyHash)) return info;
  const { fingerprint, vocabularyHash: own } = info.model;
  return { ...info, model: { ...info.model, fingerprint: `${fingerprint}+${own}` } };
}

export function expired({ id, expires }: StateInfo): InferenceError {
  const when = new Date(expires).toISOString();
  return new InferenceError("state_expired", `Cannot resume state "${id}": it expired at ${when}`, {
    param: "state_id",
  });
}

export function isCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof InferenceError && error.code === code;
}

export function changed(id: string): InferenceError {
  return new InferenceError(
    "store_unavailable",
    `Cannot read state "${id}": it was replaced before it could be read; retry later`,
    { param: "state_id" },
  );
}

export function busy(id: string): InferenceError {
  return new InferenceError(
    "store_unavailable",
    `Cannot read state "${id}": it changed ${ATTEMPTS} times while it was read; retry later`,
    { param: "state_id" },
  );
}
