/** Usage of tenants on one store: rates per minute and stored bytes. */

import { toHex } from "../core/hex.ts";
import { NO_TELEMETRY, type Telemetry } from "../core/telemetry.ts";
import type { Backend } from "../store/backends/backend.ts";
import type { KeyLimits } from "../store/keys/key_limits.ts";
import { RateRows } from "../store/usage/rate_rows.ts";
import { type RandomBytes, randomBytes } from "../store/states/state_id.ts";
import { StoredUsage } from "../store/usage/stored_usage.ts";
import { RateLimiter } from "./rate_limiter.ts";

/** Tracks the usage of tenants. */
export interface UsageTracker {
  /** Usage per minute. */
  readonly rates: RateLimiter;
  /** Stored states and bytes. */
  readonly stored: StoredUsage;
  /** Limits of keys without limits of their own. */
  readonly defaults: KeyLimits;
  /** Receives an event for every rejected request. */
  readonly telemetry: Telemetry;
}

/** Options of `openUsageTracker`. */
export interface UsageTrackerOptions {
  /** The store, which may still be opening. Workers with the same store share their counts. */
  backend: Backend | Promise<Backend>;
  /** Limits of keys without limits of their own; none by default. */
  defaults?: KeyLimits | undefined;
  /** Epoch milliseconds. */
  now?: (() => number) | undefined;
  /** Runs `work` after a delay. */
  later?: ((work: () => void, milliseconds: number) => void) | undefined;
  /** Random bytes for the worker's name. */
  random?: RandomBytes | undefined;
  /** Receives an event for every rejected request. */
  telemetry?: Telemetry | undefined;
}

/** Bytes of a worker's name: enough to be unique. */
const NAME_BYTES = 12;

/** Opens the tracker of one worker. It reads and writes nothing for tenants without limits. */
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
