/** Bounds of what a tenant may use: for all by `serve`, for one key by `keys create`. */

import { type KeyLimits, LIMIT_NAMES, LIMIT_WORDS } from "../store/keys/key_limits.ts";
import { type Flags, type FlagSpec, number } from "../cli/args/command.ts";

/** Flags of `serve`. */
export const LIMIT_FLAGS = {
  "requests-per-minute": {
    type: "string",
    value: "N",
    env: "RWKV_REQUESTS_PER_MINUTE",
    help: "requests for replies that a tenant may send, over all workers; more get 429",
    otherwise: "any number",
  },
  "tokens-per-minute": {
    type: "string",
    value: "N",
    env: "RWKV_TOKENS_PER_MINUTE",
    help: "tokens that are read and written for a tenant, over all workers; then 429",
    otherwise: "any number",
  },
  "max-prompt-tokens": {
    type: "string",
    value: "N",
    env: "RWKV_MAX_PROMPT_TOKENS",
    help: "tokens that one request may give to read",
    otherwise: "32768",
  },
  "states-per-tenant": {
    type: "string",
    value: "N",
    env: "RWKV_STATES_PER_TENANT",
    help: "states that a tenant may have stored, and conversations as many; then 403",
    otherwise: "any number",
  },
  "bytes-per-tenant": {
    type: "string",
    value: "N",
    env: "RWKV_BYTES_PER_TENANT",
    help: "bytes of states that a tenant may have stored; then 403",
    otherwise: "any number",
  },
} as const satisfies Record<(typeof LIMIT_WORDS)[keyof KeyLimits], FlagSpec>;

/** The same flags for a key of its own: what holds for a worker is not to get into keys. */
export const KEY_LIMIT_FLAGS = Object.fromEntries(
  Object.entries(LIMIT_FLAGS).map(([name, { type, value }]): [string, FlagSpec] => [
    name,
    { type, value, help: "create: for this key, in place of serve's" },
  ]),
);

/** Bounds that flags give. */
export function limitsOf(flags: Flags): KeyLimits {
  const given = LIMIT_NAMES.flatMap((name) => {
    const max = Number.MAX_SAFE_INTEGER;
    const limit = number(flags, LIMIT_WORDS[name], { min: 1, max, integer: true });
    return limit === undefined ? [] : [[name, limit] as const];
  });
  return Object.fromEntries(given);
}
