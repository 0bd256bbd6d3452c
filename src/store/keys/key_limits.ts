/** Bounds that come with a key: of a tenant's use by the minute, of one turn, and of what is kept. */

import { isFields } from "../row_json.ts";

/**
 * What a key may use; whatever is left out, the worker's own bounds hold. Those by the minute and of
 * what is stored are held against all that the key's tenant uses, whichever of its keys it comes with.
 */
export interface KeyLimits {
  /** Turns that are asked for in a minute. */
  readonly requestsPerMinute?: number | undefined;
  /** Tokens that the model reads and writes in a minute. */
  readonly tokensPerMinute?: number | undefined;
  /** Tokens that one request may give to read. */
  readonly promptTokens?: number | undefined;
  /** States that are kept, and conversations as many. */
  readonly states?: number | undefined;
  /** Bytes of all that is kept. */
  readonly bytes?: number | undefined;
}

/** All bounds, and what flags and lists of keys call them. */
export const LIMIT_FLAG_NAMES = {
  requestsPerMinute: "requests-per-minute",
  tokensPerMinute: "tokens-per-minute",
  promptTokens: "max-prompt-tokens",
  states: "states-per-tenant",
  bytes: "bytes-per-tenant",
} as const satisfies Record<keyof KeyLimits, string>;

/** Names of all bounds. */
export const LIMIT_NAMES = Object.keys(LIMIT_FLAG_NAMES) as (keyof KeyLimits)[];

/** Whether a number can be a bound. */
export function isLimit(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

/** The bounds in a row, those of other names left out; `null` where one is no bound. */
export function parseLimits(value: unknown): KeyLimits | null {
  if (value === undefined) return {};
  if (!isFields(value)) return null;
  const given = LIMIT_NAMES.filter((name) => value[name] !== undefined);
  if (!given.every((name) => isLimit(value[name]))) return null;
  return Object.fromEntries(given.map((name) => [name, value[name]]));
}

/** Bounds as words, `requests-per-minute=60` and the like. */
export function formatLimits(limits: KeyLimits): string[] {
  return LIMIT_NAMES.filter((name) => limits[name] !== undefined)
    .map((name) => `${LIMIT_FLAG_NAMES[name]}=${limits[name]}`);
}

/** The bounds that words say; `null` where one says none, or they say one twice. */
export function parseLimitWords(words: readonly string[]): KeyLimits | null {
  const limits: { -readonly [name in keyof KeyLimits]: number } = {};
  for (const word of words) {
    const [, said, digits] = word.match(/^([a-z-]+)=(\d{1,16})$/) ?? [];
    const name = LIMIT_NAMES.find((name) => LIMIT_FLAG_NAMES[name] === said);
    if (name === undefined || limits[name] !== undefined || !isLimit(Number(digits))) return null;
    limits[name] = Number(digits);
  }
  return limits;
}
