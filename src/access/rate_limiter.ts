/**
 * Tenants' rates over all workers of a store, decided from memory: a worker's own counts are exact,
 * the others' as they have told them. About once a second, and only for tenants that come, a worker
 * tells what it has counted and hears of the others, less and less often of one that stays away; no
 * request waits for that.
 *
 * Workers that know of each other divide what is left: each takes its part of it, and no more until
 * it has told and heard again. So it hardly matters how many there are: once they know each other,
 * they give half as much again as a bound at worst. Before, each gives what it may alone. A store
 * that can't be reached leaves each worker with what it knows.
 */

import { type BySecond, PEER_MS, type RateUsage } from "../store/usage/rate_rows.ts";
import { addSeconds, RateWindow, untilUnused, untilUsed, usedIn } from "./rate_window.ts";
import type { RateKind, RateLimitStatus } from "./access_api.ts";

/** Milliseconds between two times that a tenant's use is told. */
const EVERY_MS = 1_000;
/** Milliseconds after which a store that does not answer counts as one that can't be reached. */
const LOST_MS = 5_000;
/**
 * A tenant that does not come is heard of for so long, in milliseconds, and each time after so great a
 * part of the time that it has not come.
 */
const IDLE_MS = PEER_MS;
const IDLE_PART = 1 / 5;

/** How workers hear of each other. */
export interface RateExchange {
  /** Tells the others what this worker has counted. */
  publish(tenant: string, usage: RateUsage): Promise<void>;
  /** What the others have told, by their names. */
  others(tenant: string): Promise<ReadonlyMap<string, RateUsage>>;
}

/** What a limiter goes by. */
export interface RateLimiterOptions {
  /** How it hears of other workers. */
  exchange: RateExchange;
  /** Epoch milliseconds. */
  now: () => number;
  /** Does something after so many milliseconds. */
  later: (work: () => void, milliseconds: number) => void;
}

/** What is known of a tenant. */
class TenantRates {
  readonly own = { requests: new RateWindow(), tokens: new RateWindow() };
  /** What the others have told, and how many they are. */
  others: RateUsage & { count: number } = { requests: new Map(), tokens: new Map(), count: 0 };
  /** Totals as the others were told of them last, and as they were when these were heard. */
  told = { requests: 0, tokens: 0 };
  heard = { requests: 0, tokens: 0 };
  /** When an exchange began last; `ended` once it has, `failed` if it came to nothing. */
  began = -Infinity;
  ended = true;
  failed = false;
  /** When the next exchange is due; `Infinity`: none is. */
  due = Infinity;
  /** When the tenant came last. */
  came = 0;

  get totals(): { requests: number; tokens: number } {
    return { requests: this.own.requests.total, tokens: this.own.tokens.total };
  }

  amounts(kind: RateKind): BySecond[] {
    return [this.own[kind].bySecond, this.others[kind]];
  }
}

/** Tenants' rates, as one worker decides by them. */
export class RateLimiter {
  readonly #exchange: RateExchange;
  readonly #now: () => number;
  readonly #later: RateLimiterOptions["later"];
  readonly #tenants = new Map<string, TenantRates>();
  #swept = -Infinity;

  /** A limiter that knows of no tenant yet. */
  constructor({ exchange, now, later }: RateLimiterOptions) {
    this.#exchange = exchange;
    this.#now = now;
    this.#later = later;
  }

  /** Tenants that are held, for tests. */
  get size(): number {
    return this.#tenants.size;
  }

  /** Milliseconds to wait until there is room for `amount` within `limit`; 0 if there is now. */
  wait(
    tenant: string,
    kind: RateKind,
    { limit, amount }: { limit: number; amount: number },
  ): number {
    const rates = this.#of(tenant);
    const now = this.#now();
    this.#seen(tenant, rates);
    // What is beyond the bound itself has room when nothing else counts.
    const wait = untilUsed(Math.max(0, limit - amount), rates.amounts(kind), now);
    if (wait > 0 || this.#part(rates, kind, limit) > 0) return wait;
    return Math.min(Math.max(0, rates.began + EVERY_MS - now), EVERY_MS) + EVERY_MS;
  }

  /** Counts what a tenant uses; what is returned takes some of it back. */
  add(tenant: string, kind: RateKind, amount: number): (less: number) => void {
    const rates = this.#of(tenant);
    const takeBack = rates.own[kind].add(amount, this.#now());
    this.#seen(tenant, rates);
    return takeBack;
  }

  /** What is left of a tenant's bound. */
  left(tenant: string, kind: RateKind, limit: number): RateLimitStatus {
    const now = this.#now();
    const amounts = this.#tenants.get(tenant)?.amounts(kind) ?? [];
    return {
      limit,
      remaining: Math.max(0, limit - usedIn(amounts, now)),
      reset: untilUnused(amounts, now),
    };
  }

  /** What this worker may take of what is left before it has heard again. */
  #part(rates: TenantRates, kind: RateKind, limit: number): number {
    const now = this.#now();
    const left = limit - usedIn(rates.amounts(kind), now);
    const lost = rates.failed || (!rates.ended && now - rates.began > LOST_MS);
    if (rates.others.count === 0 || lost) return left;
    const taken = rates.own[kind].total - rates.heard[kind];
    return Math.ceil((left + taken) / (1 + rates.others.count)) - taken;
  }

  #of(tenant: string): TenantRates {
    const now = this.#now();
    let rates = this.#tenants.get(tenant);
    if (rates === undefined) {
      this.#sweep(now);
      this.#tenants.set(tenant, rates = new TenantRates());
    }
    rates.came = now;
    return rates;
  }

  /** Lets go of tenants that do not come any more. */
  #sweep(now: number): void {
    if (now - this.#swept < IDLE_MS) return;
    this.#swept = now;
    for (const [tenant, { came, due }] of this.#tenants) {
      if (due === Infinity && now - came > IDLE_MS) this.#tenants.delete(tenant);
    }
  }

  /** A tenant has come: what is known of it is to be new. */
  #seen(tenant: string, rates: TenantRates): void {
    // A clock that was set back must not put it off for longer.
    const wait = Math.min(rates.began + EVERY_MS - this.#now(), EVERY_MS);
    if (rates.ended) this.#schedule(tenant, rates, Math.max(0, wait));
  }

  #schedule(tenant: string, rates: TenantRates, wait: number): void {
    const at = this.#now() + wait;
    if (rates.due <= at) return;
    rates.due = at;
    if (wait === 0) return void this.#meet(tenant, rates);
    this.#later(() => {
      if (rates.due === at) void this.#meet(tenant, rates);
    }, wait);
  }

  /** Tells what is new, then hears of the others, in this order: of two, one hears of the other. */
  async #meet(tenant: string, rates: TenantRates): Promise<void> {
    rates.due = Infinity;
    rates.ended = false;
    rates.began = this.#now();
    const { totals } = rates;
    try {
      if (isUntold(rates)) {
        const { requests, tokens } = rates.own;
        await this.#exchange.publish(tenant, {
          requests: requests.bySecond,
          tokens: tokens.bySecond,
        });
        rates.told = totals;
      }
      const others = [...(await this.#exchange.others(tenant)).values()];
      rates.others = {
        requests: addSeconds(others.map(({ requests }) => requests)),
        tokens: addSeconds(others.map(({ tokens }) => tokens)),
        count: others.length,
      };
      rates.heard = totals;
      rates.failed = false;
    } catch {
      // Nobody waits for this, and the worker goes on with what it knows.
      rates.failed = true;
    }
    rates.ended = true;
    const idle = this.#now() - rates.came;
    // What nobody was told of in a minute is of no use to anybody any more.
    const untold = isUntold(rates) && this.#counts(rates);
    if (untold) this.#schedule(tenant, rates, EVERY_MS);
    else if (idle < IDLE_MS) {
      this.#schedule(tenant, rates, Math.max(EVERY_MS, Math.ceil(idle * IDLE_PART)));
    }
  }

  #counts({ own: { requests, tokens } }: TenantRates): boolean {
    return usedIn([requests.bySecond, tokens.bySecond], this.#now()) > 0;
  }
}

function isUntold({ totals, told }: TenantRates): boolean {
  return totals.requests !== told.requests || totals.tokens !== told.tokens;
}
