/**
 * What a caller may use: its key's bounds, or else the worker's own, held against all that its tenant
 * uses. A turn's tokens are charged as they are read and written; one that runs is not ended when they
 * are used up.
 */

import type { TokenCharge } from "../core/token_charge.ts";
import { InferenceError, type LimitKind } from "../core/errors.ts";
import type { KeyLimits } from "../store/keys/key_limits.ts";
import type { AccountApi, Caller, RateKind, RateLimitStatus } from "./access_api.ts";
import type { UsageTracker } from "./usage_tracker.ts";

const FREE: TokenCharge = { generated() {}, refund() {} };
const NOTHING = () => {};

/** What one caller may use. */
export class Account implements AccountApi {
  /** What holds for it. */
  readonly limits: KeyLimits;
  readonly #tenant: string;
  readonly #ledger: UsageTracker;

  constructor({ tenant, limits }: Caller, ledger: UsageTracker) {
    this.#tenant = tenant;
    this.limits = { ...ledger.defaults, ...limits };
    this.#ledger = ledger;
  }

  /** Tokens that one request may give to read: no more than a minute may have. */
  promptTokenLimit(fallback: number): number {
    const { promptTokens = fallback, tokensPerMinute = Infinity } = this.limits;
    return Math.min(promptTokens, tokensPerMinute);
  }

  /**
   * Counts a request; what is returned makes it not count after all.
   *
   * @throws InferenceError `rate_limit_exceeded`
   */
  countRequest(): () => void {
    const { requestsPerMinute: limit } = this.limits;
    if (limit === undefined) return NOTHING;
    const { rates } = this.#ledger;
    const wait = rates.wait(this.#tenant, "requests", { limit, amount: 1 });
    if (wait > 0) {
      const seconds = secondsOf(wait);
      throw this.#refused("rate_limit_exceeded", "requests", {
        message: `Cannot take this request: a minute may have ${limit} requests of this key's ` +
          `tenant, and no more may come now; wait ${seconds} s`,
        retryAfter: seconds,
      });
    }
    const takeBack = rates.add(this.#tenant, "requests", 1);
    return () => takeBack(1);
  }

  /** @throws InferenceError `rate_limit_exceeded` for more tokens than the minute has left */
  assertTokensLeft(tokens: number): void {
    const { tokensPerMinute: limit } = this.limits;
    if (limit === undefined) return;
    const { rates } = this.#ledger;
    const wait = rates.wait(this.#tenant, "tokens", { limit, amount: tokens });
    if (wait === 0) return;
    const { remaining } = rates.left(this.#tenant, "tokens", limit);
    const seconds = secondsOf(wait);
    throw this.#refused("rate_limit_exceeded", "tokens", {
      message:
        `Cannot read ${tokens} tokens now: a minute may have ${limit} tokens of this key's ` +
        `tenant, and ${remaining} are left; wait ${seconds} s`,
      retryAfter: seconds,
    });
  }

  /** Charges a prompt that is going to be read. */
  charge(tokens: number): TokenCharge {
    if (this.limits.tokensPerMinute === undefined) return FREE;
    const { rates } = this.#ledger;
    const takeBack = rates.add(this.#tenant, "tokens", tokens);
    return {
      generated: (tokens) => void rates.add(this.#tenant, "tokens", tokens),
      refund: (tokens) => takeBack(tokens),
    };
  }

  /**
   * Holds room for states that are to be stored; what is returned lets go of it.
   *
   * @throws InferenceError `storage_limit_exceeded`
   */
  async reserveStorage(states: number, bytes: number): Promise<() => void> {
    const { states: mostStates, bytes: mostBytes } = this.limits;
    if (mostStates === undefined && mostBytes === undefined) return NOTHING;
    const { stored } = this.#ledger;
    await stored.ready(this.#tenant);
    const there = stored.of(this.#tenant);
    this.#assertRoom("states", { there: there.states, more: states, most: mostStates });
    this.#assertRoom("bytes", { there: there.bytes, more: bytes, most: mostBytes });
    return stored.reserve(this.#tenant, states, bytes);
  }

  /**
   * Makes a conversation, if there is room for one.
   *
   * @throws InferenceError `storage_limit_exceeded`, and what `make` throws
   */
  async createConversation<T>(make: () => Promise<T>): Promise<T> {
    const { states: mostStates, bytes: mostBytes } = this.limits;
    if (mostStates === undefined && mostBytes === undefined) return await make();
    const { stored } = this.#ledger;
    await stored.ready(this.#tenant);
    const there = stored.of(this.#tenant);
    this.#assertRoom("conversations", { there: there.conversations, more: 1, most: mostStates });
    this.#assertRoom("bytes", { there: there.bytes, more: 1, most: mostBytes });
    stored.conversationChanged(this.#tenant, 1);
    try {
      return await make();
    } catch (error) {
      stored.conversationChanged(this.#tenant, -1);
      throw error;
    }
  }

  /** Told that a conversation was removed. */
  conversationRemoved(): void {
    this.#ledger.stored.conversationChanged(this.#tenant, -1);
  }

  /** What is left by the minute, of what is bounded. */
  get rateLimits(): Partial<Record<RateKind, RateLimitStatus>> {
    const { requestsPerMinute, tokensPerMinute } = this.limits;
    const left = (kind: RateKind, limit: number | undefined) =>
      limit === undefined ? {} : { [kind]: this.#ledger.rates.left(this.#tenant, kind, limit) };
    return { ...left("requests", requestsPerMinute), ...left("tokens", tokensPerMinute) };
  }

  #assertRoom(
    what: "states" | "conversations" | "bytes",
    { there, more, most }: { there: number; more: number; most: number | undefined },
  ): void {
    if (most === undefined || more === 0 || there + more <= most) return;
    const remedy = what === "conversations"
      ? "delete some (DELETE /v1/conversations/{id})"
      : "delete states (DELETE /v1/states/{id}), or send store: false" +
        (what === "bytes" ? "; answers to an Idempotency-Key go after a day" : "");
    throw this.#refused("storage_limit_exceeded", what, {
      message: `Cannot store more ${what}: this key's tenant has ${there} of ${most} that it may ` +
        `have, and ${more} would come; ${remedy}`,
    });
  }

  #refused(
    code: "rate_limit_exceeded" | "storage_limit_exceeded",
    limit: LimitKind,
    { message, retryAfter }: { message: string; retryAfter?: number },
  ): InferenceError {
    this.#ledger.telemetry.limitExceeded(limit);
    return new InferenceError(code, message, { retryAfter, limit });
  }
}

function secondsOf(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds / 1000));
}
