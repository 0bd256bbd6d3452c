/** What the store answers when a state can't be had. */

import { type ErrorCode, InferenceError } from "../core/errors.ts";
import type { ModelIdentity } from "./manifest.ts";
import type { StateInfo } from "./state_rows.ts";

/** How often a read or delete starts over when the state is replaced under it. */
export const ATTEMPTS = 5;

export function assertSameModel(info: StateInfo, model: ModelIdentity): void {
  if (info.model.fingerprint === model.fingerprint) return;
  const name = ({ id, fingerprint }: ModelIdentity) => `"${id}" (${fingerprint})`;
  throw new InferenceError(
    "model_mismatch",
    `Cannot resume state "${info.id}": it belongs to model ${name(info.model)}, ` +
      `this worker runs ${name(model)}`,
    { param: "state_id" },
  );
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
    `Cannot read state "${id}": it was replaced before it could be read; try again`,
    { param: "state_id" },
  );
}

export function busy(id: string): InferenceError {
  return new InferenceError(
    "store_unavailable",
    `Cannot read state "${id}": it changed ${ATTEMPTS} times while it was read`,
    { param: "state_id" },
  );
}
