/** Limits of a tenant's usage: for all tenants with `serve`, for one key with `keys create`. */

import { type KeyLimits, LIMIT_FLAG_NAMES, LIMIT_NAMES } from "../store/keys/key_limits.ts";
import type { Flags, FlagSpec } from "../settings/flags.ts";
import { LIMIT_FLAGS, numberSetting } from "../settings/settings.ts";

/** The same flags for a single key, without environment variables, which apply to workers only. */
export const KEY_LIMIT_FLAGS = Object.fromEntries(
  Object.entries(LIMIT_FLAGS).map(([name, { type, placeholder }]): [string, FlagSpec] => [
    name,
    { type, placeholder, help: "create: limit of this key instead of serve's" },
  ]),
);

/** Returns the limits that flags set. */
export function limitFlags(flags: Flags): KeyLimits {
  const given = LIMIT_NAMES.flatMap((name) => {
    const limit = numberSetting(flags, LIMIT_FLAG_NAMES[name]);
    return limit === undefined ? [] : [[name, limit] as const];
  });
  return Object.fromEntries(given);
}
