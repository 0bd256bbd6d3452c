/** State ids: unguessable, since whoever has one may carry on the conversation. */

import { InferenceError } from "../../core/errors.ts";
import { toHex } from "../../core/hex.ts";

/** `length` bytes of cryptographic quality. */
export type RandomBytes = (length: number) => Uint8Array;

export const randomBytes: RandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));

/** `prefix` and 192 random bits in lower-case hex. */
export function newId(prefix: string, random: RandomBytes): string {
  return prefix + toHex(random(24));
}

const STATE_ID = /^state_[0-9a-f]{48}$/;

/** @throws InferenceError `state_not_found` for what cannot be the id of a state. */
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
