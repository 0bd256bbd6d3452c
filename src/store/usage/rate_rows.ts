/**
 * What tenants use by the minute, told between workers: `["~", "rate", tenant, worker]` holds what one
 * worker has counted, second by second. Each worker writes its own row alone, so none contends.
 */

import type { Backend } from "../backends/backend.ts";
import { RATES } from "../row_keys.ts";
import { isFields } from "../row_json.ts";

/** Amounts by the epoch second in which they came. */
export type BySecond = ReadonlyMap<number, number>;

/** What a worker has counted of a tenant. */
export interface RateUsage {
  /** Turns that were asked for. */
  readonly requests: BySecond;
  /** Tokens read and written. */
  readonly tokens: BySecond;
}

/** Milliseconds that a worker is taken to serve a tenant after it told of it last. */
export const PEER_MS = 120_000;

/** Seconds of a row that are read at most; a worker writes fewer. */
const MOST_SECONDS = 200;

export interface RateRowsOptions {
  /** The store, perhaps still being opened. */
  backend: Backend | Promise<Backend>;
  /** This worker's own name. */
  worker: string;
  /** Epoch milliseconds. */
  now: () => number;
}

/** Rows of rates, as one worker writes its own and reads the others'. */
export class RateRows {
  readonly #options: RateRowsOptions;

  constructor(options: RateRowsOptions) {
    this.#options = options;
  }

  /** Tells the others. Throws InferenceError `store_unavailable`. */
  async publish(tenant: string, { requests, tokens }: RateUsage): Promise<void> {
    const { backend, worker, now } = this.#options;
    const row = { version: 1, at: now(), requests: [...requests], tokens: [...tokens] };
    const value = new TextEncoder().encode(JSON.stringify(row));
    await (await backend).atomic([], [
      { type: "set", key: [...RATES, tenant, worker], value, expireIn: PEER_MS },
    ]);
  }

  /** What others have told, by their names. Throws InferenceError `store_unavailable`. */
  async others(tenant: string): Promise<Map<string, RateUsage>> {
    const { backend, worker, now } = this.#options;
    const told = new Map<string, RateUsage>();
    for await (const { key, value } of (await backend).list([...RATES, tenant])) {
      const name = String(key[key.length - 1]);
      const usage = name === worker ? null : usageIn(value, now());
      if (usage !== null) told.set(name, usage);
    }
    return told;
  }
}

/** A row that is damaged, old or of a later version tells nothing. */
function usageIn(value: Uint8Array, now: number): RateUsage | null {
  let row: unknown;
  try {
    row = JSON.parse(new TextDecoder().decode(value));
  } catch {
    return null;
  }
  if (!isFields(row) || row.version !== 1 || typeof row.at !== "number") return null;
  if (Math.abs(now - row.at) > PEER_MS) return null;
  const requests = bySecond(row.requests);
  const tokens = bySecond(row.tokens);
  return requests && tokens && { requests, tokens };
}

function bySecond(value: unknown): BySecond | null {
  if (!Array.isArray(value) || value.length > MOST_SECONDS) return null;
  return value.every(isAmount) ? new Map(value) : null;
}

function isAmount(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && Number.isSafeInteger(value[0]) &&
    Number.isSafeInteger(value[1]) && value[1] >= 0;
}
