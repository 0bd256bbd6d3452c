/** State ids, which cannot be guessed, because an id grants access to the conversation. */

import { InferenceError } from "../../core/errors.ts";
import { toHex } from "../../core/hex.ts";

/** Returns `length` cryptographically secure random bytes. */
export type RandomBytes = (length: number) => Uint8Array;

export const randomBytes: RandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));

/** Returns `prefix` followed by 192 random bits in lower-case hexadecimal. */
export function newId(prefix: string, random: RandomBytes): string {
  return prefix + toHex(random(24));
}

const STATE_ID = /^state_[0-9a-f]{48}$/;

/** @throws InferenceError `state_not_found` if this cannot be a state id */
export function assertStateId(id: string): void {
  if (STATE_ID.test(id)) return;
  const shown = id.length > 80 ? `${id.slice(0, 80)}…` : id;
  throw new InferenceError(
    "state_not_found",
    `Cannot find state ${
      JSON.stringify(shown)
    }: an id is "state_" followed by 48 hexadecimal digits`,
    { param: "state_id" },
  );
}
