/**
 * The account of a caller: the limits of its key, or else the worker's, applied to the usage of the
 * whole tenant. Tokens are charged as they are processed and generated. Reaching the
 * limit does not end a running turn.
 */

import type { TokenCharge } from "../core/token_charge.ts";
import { InferenceError, type LimitKind } from "../core/errors.ts";
import type { KeyLimits } from "../store/keys/key_limits.ts";
import type { AccountApi, Caller, RateKind, RateLimitStatus } from "./access_api.ts";
import type { UsageTracker } from "./usage_tracker.ts";

const FREE: TokenCharge = { generated() {}, refund() {} };
const NOTHING = () => {};

/** The account of one caller. */
export class Account implements AccountApi {
  /** The limits that apply. */
  readonly limits: KeyLimits;
  readonly #tenant: string;
  readonly #usage: UsageTracker;

  constructor({ tenant, limits }: Caller, usage: UsageTracker) {
    this.#tenant = tenant;
    this.limits = { ...usage.defaults, ...limits };
    this.#usage = usage;
  }

  /** Returns the maximum prompt tokens of a request: never more than the limit of a minute. */
  promptTokenLimit(fallback: number): number {
    const { promptTokens = fallback, tokensPerMinute = Infinity } = this.limits;
    return Math.min(promptTokens, tokensPerMinute);
  }

  /**
   * Counts a request. Returns a function that undoes this.
   *
   * @throws InferenceError `rate_limit_exceeded`
   */
  countRequest(): () => void {
    const { requestsPerMinute: limit } = this.limits;
    if (limit === undefined) return NOTHING;
    const { rates } = this.#usage;
    const wait = rates.wait(this.#tenant, "requests", { limit, amount: 1 });
    if (wait > 0) {
      const seconds = secondsOf(wait);
      throw this.#limitError("rate_limit_exceeded", "requests", {
        message: `Rate limit exceeded: ${limit} requests per minute for this key's tenant; ` +
          `retry in ${seconds} s`,
        retryAfter: seconds,
      });
    }
    const refund = rates.add(this.#tenant, "requests", 1);
    return () => refund(1);
  }

  /** @throws InferenceError `rate_limit_exceeded` if fewer tokens are left in this minute */
  assertTokensLeft(tokens: number): void {
    const { tokensPerMinute: limit } = this.limits;
    if (limit === undefined) return;
    const { rates } = this.#usage;
    const wait = rates.wait(this.#tenant, "tokens", { limit, amount: tokens });
    if (wait === 0) return;
    const { remaining } = rates.left(this.#tenant, "tokens", limit);
    const seconds = secondsOf(wait);
    throw this.#limitError("rate_limit_exceeded", "tokens", {
      message:
        `Rate limit exceeded: ${limit} tokens per minute for this key's tenant, ${remaining} left, ` +
        `and the prompt has ${tokens}; retry in ${seconds} s`,
      retryAfter: seconds,
    });
  }

  /** Charges a prompt that is going to be processed. */
  charge(tokens: number): TokenCharge {
    if (this.limits.tokensPerMinute === undefined) return FREE;
    const { rates } = this.#usage;
    const refund = rates.add(this.#tenant, "tokens", tokens);
    return {
      generated: (tokens) => void rates.add(this.#tenant, "tokens", tokens),
      refund,
    };
  }

  /**
   * Reserves storage for new states. Returns a function that releases the reservation.
   *
   * @throws InferenceError `storage_limit_exceeded`
   */
  async reserveStorage(states: number, bytes: number): Promise<() => void> {
    const { states: maxStates, bytes: maxBytes } = this.limits;
    if (maxStates === undefined && maxBytes === undefined) return NOTHING;
    const { stored } = this.#usage;
    await stored.ready(this.#tenant);
    const used = stored.of(this.#tenant);
    this.#assertBelowLimit("states", { used: used.states, added: states, max: maxStates });
    this.#assertBelowLimit("bytes", { used: used.bytes, added: bytes, max: maxBytes });
    return stored.reserve(this.#tenant, states, bytes);
  }

  /**
   * Creates a conversation if the limits allow it.
   *
   * @throws InferenceError `storage_limit_exceeded`, or the error of `make`
   */
  async createConversation<T>(make: () => Promise<T>): Promise<T> {
    const { states: maxStates, bytes: maxBytes } = this.limits;
    if (maxStates === undefined && maxBytes === undefined) return await make();
    const { stored } = this.#usage;
    await stored.ready(this.#tenant);
    const used = stored.of(this.#tenant);
    this.#assertBelowLimit("conversations", { used: used.conversations, added: 1, max: maxStates });
    this.#assertBelowLimit("bytes", { used: used.bytes, added: 1, max: maxBytes });
    stored.conversationChanged(this.#tenant, 1);
    try {
      return await make();
    } catch (error) {
      stored.conversationChanged(this.#tenant, -1);
      throw error;
    }
  }

  /** Records that a conversation was deleted. */
  conversationRemoved(): void {
    this.#usage.stored.conversationChanged(this.#tenant, -1);
  }

  /** Returns the remaining amounts of this minute, for each limit that applies. */
  get rateLimits(): Partial<Record<RateKind, RateLimitStatus>> {
    const { requestsPerMinute, tokensPerMinute } = this.limits;
    const left = (kind: RateKind, limit: number | undefined) =>
      limit === undefined ? {} : { [kind]: this.#usage.rates.left(this.#tenant, kind, limit) };
    return { ...left("requests", requestsPerMinute), ...left("tokens", tokensPerMinute) };
  }

  #assertBelowLimit(
    what: "states" | "conversations" | "bytes",
    { used, added, max }: { used: number; added: number; max: number | undefined },
  ): void {
    if (max === undefined || added === 0 || used + added <= max) return;
    const remedy = what === "conversations"
      ? "delete some (DELETE /v1/conversations/{id})"
      : "delete states (DELETE /v1/states/{id}), or send store: false" +
        (what === "bytes" ? "; responses to an Idempotency-Key expire after a day" : "");
    throw this.#limitError("storage_limit_exceeded", what, {
      message:
        `Cannot store ${added} more ${what}: this key's tenant has ${used} of ${max}; ${remedy}`,
    });
  }

  #limitError(
    code: "rate_limit_exceeded" | "storage_limit_exceeded",
    limit: LimitKind,
    { message, retryAfter }: { message: string; retryAfter?: number },
  ): InferenceError {
    this.#usage.telemetry.limitExceeded(limit);
    return new InferenceError(code, message, { retryAfter, limit });
  }
}

function secondsOf(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds / 1000));
}
