/** Where it is counted what tenants use: by the minute, and of what is kept, over one store. */

import { toHex } from "../core/hex.ts";
import { NO_TELEMETRY, type Telemetry } from "../core/telemetry.ts";
import type { Backend } from "../store/backends/backend.ts";
import type { KeyLimits } from "../store/keys/key_limits.ts";
import { RateRows } from "../store/usage/rate_rows.ts";
import { type RandomBytes, randomBytes } from "../store/states/state_id.ts";
import { StoredUsage } from "../store/usage/stored_usage.ts";
import { RateLimiter } from "./rate_limiter.ts";

/** Where it is counted what tenants use. */
export interface UsageTracker {
  /** By the minute. */
  readonly rates: RateLimiter;
  /** What is kept. */
  readonly stored: StoredUsage;
  /** Bounds of keys that have none of their own. */
  readonly defaults: KeyLimits;
  /** Told of refusals. */
  readonly telemetry: Telemetry;
}

/** What a ledger goes by. */
export interface UsageTrackerOptions {
  /** The store, perhaps still being opened; workers that share it share their counts. */
  backend: Backend | Promise<Backend>;
  /** Bounds of keys that have none of their own; none unless given. */
  defaults?: KeyLimits | undefined;
  /** Epoch milliseconds. */
  now?: (() => number) | undefined;
  /** Does something after so many milliseconds. */
  later?: ((work: () => void, milliseconds: number) => void) | undefined;
  /** Where the worker's name comes from. */
  random?: RandomBytes | undefined;
  /** Told of refusals. */
  telemetry?: Telemetry | undefined;
}

/** Bytes of a worker's name: enough that no two have the same. */
const NAME_BYTES = 12;

/** A ledger of one worker. Nothing is read or written for tenants without bounds. */
export function openUsageTracker(
  { backend, defaults = {}, now = Date.now, random = randomBytes, ...rest }: UsageTrackerOptions,
): UsageTracker {
  const exchange = new RateRows({ backend, worker: toHex(random(NAME_BYTES)), now });
  const later = rest.later ?? ((work, milliseconds) => void setTimeout(work, milliseconds));
  return {
    rates: new RateLimiter({ exchange, now, later }),
    stored: new StoredUsage({ backend, now }),
    defaults,
    telemetry: rest.telemetry ?? NO_TELEMETRY,
  };
}
