/** Limits of a key: usage per minute, prompt length and storage. */

import { isFields } from "../row_json.ts";

/**
 * Limits of a key. The worker's limits replace missing ones. Limits per minute and
 * of storage apply to the usage of the whole tenant, whichever of its keys is used.
 */
export interface KeyLimits {
  /** Requests for replies in a minute. */
  readonly requestsPerMinute?: number | undefined;
  /** Prompt and completion tokens in a minute. */
  readonly tokensPerMinute?: number | undefined;
  /** Prompt tokens of one request. */
  readonly promptTokens?: number | undefined;
  /** Stored states, and the same number of conversations. */
  readonly states?: number | undefined;
  /** Stored bytes. */
  readonly bytes?: number | undefined;
}

/** Names of the limits in flags and key files. */
export const LIMIT_FLAG_NAMES = {
  requestsPerMinute: "requests-per-minute",
  tokensPerMinute: "tokens-per-minute",
  promptTokens: "max-prompt-tokens",
  states: "states-per-tenant",
  bytes: "bytes-per-tenant",
} as const satisfies Record<keyof KeyLimits, string>;

/** Names of all limits. */
export const LIMIT_NAMES = Object.keys(LIMIT_FLAG_NAMES) as (keyof KeyLimits)[];

/** Returns whether a value is a valid limit. */
export function isLimit(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

/** Parses the limits in a row and ignores unknown names. Returns `null` if a limit is invalid. */
export function parseLimits(value: unknown): KeyLimits | null {
  if (value === undefined) return {};
  if (!isFields(value)) return null;
  const given = LIMIT_NAMES.filter((name) => value[name] !== undefined);
  if (!given.every((name) => isLimit(value[name]))) return null;
  return Object.fromEntries(given.map((name) => [name, value[name]]));
}

/** Formats limits as words such as `requests-per-minute=60`. */
export function formatLimits(limits: KeyLimits): string[] {
  return LIMIT_NAMES.filter((name) => limits[name] !== undefined)
    .map((name) => `${LIMIT_FLAG_NAMES[name]}=${limits[name]}`);
}

/** Parses words such as `requests-per-minute=60`. Returns `null` for invalid or repeated words. */
export function parseLimitWords(words: readonly string[]): KeyLimits | null {
  const limits: { -readonly [name in keyof KeyLimits]: number } = {};
  for (const word of words) {
    const [, flag, digits] = word.match(/^([a-z-]+)=(\d{1,16})$/) ?? [];
    const name = LIMIT_NAMES.find((name) => LIMIT_FLAG_NAMES[name] === flag);
    if (name === undefined || limits[name] !== undefined || !isLimit(Number(digits))) return null;
    limits[name] = Number(digits);
  }
  return limits;
}
