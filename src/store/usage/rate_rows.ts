/**
 * Usage per minute, exchanged between workers: `["~", "rate", tenant, worker]` contains the counts of
 * one worker by the second. Each worker writes only its own row, so there is no contention.
 */

import type { Backend } from "../backends/backend.ts";
import { RATES } from "../row_keys.ts";
import { isFields } from "../row_json.ts";

/** Amounts by the epoch second in which they were added. */
export type BySecond = ReadonlyMap<number, number>;

/** The counts of one worker for a tenant. */
export interface RateUsage {
  /** Requests for replies. */
  readonly requests: BySecond;
  /** Prompt and completion tokens. */
  readonly tokens: BySecond;
}

/** Milliseconds after its last publication for which a worker counts as a peer. */
export const PEER_MS = 120_000;

/** Maximum number of seconds in a row; a worker writes fewer. */
const MAX_SECONDS = 200;

export interface RateRowsOptions {
  /** The store, which may still be opening. */
  backend: Backend | Promise<Backend>;
  /** Name of this worker. */
  worker: string;
  /** Epoch milliseconds. */
  now: () => number;
}

/** Writes the row of one worker and reads those of the others. */
export class RateRows {
  readonly #options: RateRowsOptions;

  constructor(options: RateRowsOptions) {
    this.#options = options;
  }

  /** Publishes the counts. Throws InferenceError `store_unavailable`. */
  async publish(tenant: string, { requests, tokens }: RateUsage): Promise<void> {
    const { backend, worker, now } = this.#options;
    const row = { version: 1, at: now(), requests: [...requests], tokens: [...tokens] };
    const value = new TextEncoder().encode(JSON.stringify(row));
    await (await backend).atomic([], [
      { type: "set", key: [...RATES, tenant, worker], value, expireIn: PEER_MS },
    ]);
  }

  /** Returns the counts of other workers by name. Throws InferenceError `store_unavailable`. */
  async others(tenant: string): Promise<Map<string, RateUsage>> {
    const { backend, worker, now } = this.#options;
    const others = new Map<string, RateUsage>();
    for await (const { key, value } of (await backend).list([...RATES, tenant])) {
      const name = String(key[key.length - 1]);
      const usage = name === worker ? null : parseUsage(value, now());
      if (usage !== null) others.set(name, usage);
    }
    return others;
  }
}

/** Returns `null` for a row that is damaged, old or of a later version. */
function parseUsage(value: Uint8Array, now: number): RateUsage | null {
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
  if (!Array.isArray(value) || value.length > MAX_SECONDS) return null;
  return value.every(isAmount) ? new Map(value) : null;
}

function isAmount(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && Number.isSafeInteger(value[0]) &&
    Number.isSafeInteger(value[1]) && value[1] >= 0;
}
