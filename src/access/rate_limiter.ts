/**
 * Rate limits of tenants over all workers of a store. Decisions use memory only: a worker knows its
 * own counts exactly and those of other workers as they last published them. About once a second,
 * for tenants that send requests, a worker publishes its counts and reads those of the others; for
 * an idle tenant it does so at growing intervals. No request waits for this exchange.
 *
 * Workers that know each other divide the rest of a limit: each uses its share until the next
 * exchange. Together they exceed a limit by at most half of it, regardless of their number. A
 * worker that does not know any others yet uses the whole limit. While the store is unreachable,
 * each worker continues with the counts that it knows.
 */

import { type BySecond, PEER_MS, type RateUsage } from "../store/usage/rate_rows.ts";
import { addSeconds, RateWindow, untilUnused, untilUsed, usedIn } from "./rate_window.ts";
import type { RateKind, RateLimitStatus } from "./access_api.ts";

/** Milliseconds between two exchanges for a tenant. */
const EXCHANGE_MS = 1_000;
/** Milliseconds without a response after which the store counts as unreachable. */
const UNREACHABLE_MS = 5_000;
/** Milliseconds for which exchanges continue for an idle tenant. */
const IDLE_MS = PEER_MS;
/** Time until the next exchange for an idle tenant, as a fraction of its idle time. */
const IDLE_FRACTION = 1 / 5;

/** The exchange of counts between workers. */
export interface RateExchange {
  /** Publishes the counts of this worker. */
  publish(tenant: string, usage: RateUsage): Promise<void>;
  /** Returns the counts of other workers by their names. */
  others(tenant: string): Promise<ReadonlyMap<string, RateUsage>>;
}

/** Options of `RateLimiter`. */
export interface RateLimiterOptions {
  /** The exchange with other workers. */
  exchange: RateExchange;
  /** Epoch milliseconds. */
  now: () => number;
  /** Runs `work` after a delay. */
  later: (work: () => void, milliseconds: number) => void;
}

/** The counts of a tenant. */
class TenantRates {
  readonly own = { requests: new RateWindow(), tokens: new RateWindow() };
  /** Counts of other workers, and the number of these workers. */
  others: RateUsage & { count: number } = { requests: new Map(), tokens: new Map(), count: 0 };
  /** Own totals when they were last published, and when the others' counts were last read. */
  published = { requests: 0, tokens: 0 };
  atLastRead = { requests: 0, tokens: 0 };
  /** Start of the last exchange, whether it has ended, and whether it failed. */
  startedAt = -Infinity;
  ended = true;
  failed = false;
  /** Time of the next exchange; `Infinity` if none is scheduled. */
  due = Infinity;
  /** Time of the tenant's last request. */
  lastRequest = 0;

  get totals(): { requests: number; tokens: number } {
    return { requests: this.own.requests.total, tokens: this.own.tokens.total };
  }

  amounts(kind: RateKind): BySecond[] {
    return [this.own[kind].bySecond, this.others[kind]];
  }
}

/** Decides on the rate limits of tenants for one worker. */
export class RateLimiter {
  readonly #exchange: RateExchange;
  readonly #now: () => number;
  readonly #later: RateLimiterOptions["later"];
  readonly #tenants = new Map<string, TenantRates>();
  #sweptAt = -Infinity;

  /** Creates a limiter without tenants. */
  constructor({ exchange, now, later }: RateLimiterOptions) {
    this.#exchange = exchange;
    this.#now = now;
    this.#later = later;
  }

  /** Number of tenants in memory, for tests. */
  get size(): number {
    return this.#tenants.size;
  }

  /** Returns the milliseconds until `amount` fits within `limit`; 0 if it fits now. */
  wait(
    tenant: string,
    kind: RateKind,
    { limit, amount }: { limit: number; amount: number },
  ): number {
    const rates = this.#of(tenant);
    const now = this.#now();
    this.#requested(tenant, rates);
    // An amount above the limit is accepted when nothing else counts.
    const wait = untilUsed(Math.max(0, limit - amount), rates.amounts(kind), now);
    if (wait > 0 || this.#share(rates, kind, limit) > 0) return wait;
    return Math.min(Math.max(0, rates.startedAt + EXCHANGE_MS - now), EXCHANGE_MS) + EXCHANGE_MS;
  }

  /** Counts usage. Returns a function that takes some of it back. */
  add(tenant: string, kind: RateKind, amount: number): (less: number) => void {
    const rates = this.#of(tenant);
    const refund = rates.own[kind].add(amount, this.#now());
    this.#requested(tenant, rates);
    return refund;
  }

  /** Returns a tenant's limit and its remaining amount. */
  left(tenant: string, kind: RateKind, limit: number): RateLimitStatus {
    const now = this.#now();
    const amounts = this.#tenants.get(tenant)?.amounts(kind) ?? [];
    return {
      limit,
      remaining: Math.max(0, limit - usedIn(amounts, now)),
      reset: untilUnused(amounts, now),
    };
  }

  /** Returns how much this worker may use until the next exchange. */
  #share(rates: TenantRates, kind: RateKind, limit: number): number {
    const now = this.#now();
    const left = limit - usedIn(rates.amounts(kind), now);
    const unreachable = rates.failed || (!rates.ended && now - rates.startedAt > UNREACHABLE_MS);
    if (rates.others.count === 0 || unreachable) return left;
    const used = rates.own[kind].total - rates.atLastRead[kind];
    return Math.ceil((left + used) / (1 + rates.others.count)) - used;
  }

  #of(tenant: string): TenantRates {
    const now = this.#now();
    let rates = this.#tenants.get(tenant);
    if (rates === undefined) {
      this.#sweep(now);
      this.#tenants.set(tenant, rates = new TenantRates());
    }
    rates.lastRequest = now;
    return rates;
  }

  /** Removes idle tenants from memory. */
  #sweep(now: number): void {
    if (now - this.#sweptAt < IDLE_MS) return;
    this.#sweptAt = now;
    for (const [tenant, { lastRequest, due }] of this.#tenants) {
      if (due === Infinity && now - lastRequest > IDLE_MS) this.#tenants.delete(tenant);
    }
  }

  /** Schedules an exchange for a tenant that sent a request. */
  #requested(tenant: string, rates: TenantRates): void {
    // A clock that was set back must not delay the exchange further.
    const wait = Math.min(rates.startedAt + EXCHANGE_MS - this.#now(), EXCHANGE_MS);
    if (rates.ended) this.#schedule(tenant, rates, Math.max(0, wait));
  }

  #schedule(tenant: string, rates: TenantRates, wait: number): void {
    const at = this.#now() + wait;
    if (rates.due <= at) return;
    rates.due = at;
    if (wait === 0) return void this.#exchangeCounts(tenant, rates);
    this.#later(() => {
      if (rates.due === at) void this.#exchangeCounts(tenant, rates);
    }, wait);
  }

  /** Publishes, then reads. In this order, at least one of two workers learns of the other. */
  async #exchangeCounts(tenant: string, rates: TenantRates): Promise<void> {
    rates.due = Infinity;
    rates.ended = false;
    rates.startedAt = this.#now();
    const { totals } = rates;
    try {
      if (isUnpublished(rates)) {
        const { requests, tokens } = rates.own;
        await this.#exchange.publish(tenant, {
          requests: requests.bySecond,
          tokens: tokens.bySecond,
        });
        rates.published = totals;
      }
      const others = [...(await this.#exchange.others(tenant)).values()];
      rates.others = {
        requests: addSeconds(others.map(({ requests }) => requests)),
        tokens: addSeconds(others.map(({ tokens }) => tokens)),
        count: others.length,
      };
      rates.atLastRead = totals;
      rates.failed = false;
    } catch {
      // No request waits for the exchange; the worker continues with the counts that it knows.
      rates.failed = true;
    }
    rates.ended = true;
    const idle = this.#now() - rates.lastRequest;
    // Counts older than a minute no longer matter to other workers.
    const unpublished = isUnpublished(rates) && this.#counts(rates);
    if (unpublished) this.#schedule(tenant, rates, EXCHANGE_MS);
    else if (idle < IDLE_MS) {
      this.#schedule(tenant, rates, Math.max(EXCHANGE_MS, Math.ceil(idle * IDLE_FRACTION)));
    }
  }

  #counts({ own: { requests, tokens } }: TenantRates): boolean {
    return usedIn([requests.bySecond, tokens.bySecond], this.#now()) > 0;
  }
}

function isUnpublished({ totals, published }: TenantRates): boolean {
  return totals.requests !== published.requests || totals.tokens !== published.tokens;
}
