/** Bounds of what a tenant may use: for all by `serve`, for one key by `keys create`. */

import { type KeyLimits, LIMIT_FLAG_NAMES, LIMIT_NAMES } from "../store/keys/key_limits.ts";
import type { Flags, FlagSpec } from "../settings/flags.ts";
import { LIMIT_FLAGS, numberSetting } from "../settings/settings.ts";

/** The same flags for a key of its own: what holds for a worker is not to get into keys. */
export const KEY_LIMIT_FLAGS = Object.fromEntries(
  Object.entries(LIMIT_FLAGS).map(([name, { type, value }]): [string, FlagSpec] => [
    name,
    { type, value, help: "create: for this key, in place of serve's" },
  ]),
);

/** Bounds that flags give. */
export function limitFlags(flags: Flags): KeyLimits {
  const given = LIMIT_NAMES.flatMap((name) => {
    const limit = numberSetting(flags, LIMIT_FLAG_NAMES[name]);
    return limit === undefined ? [] : [[name, limit] as const];
  });
  return Object.fromEntries(given);
}
