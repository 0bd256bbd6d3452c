/** Authentication and limits as the HTTP routes use them. */

import type { TokenCharge } from "../core/token_charge.ts";
import type { KeyLimits } from "../store/keys/key_limits.ts";

/** The authenticated caller of a request. */
export interface Caller {
  /** The tenant that owns everything that the caller reads and creates. */
  readonly tenant: string;
  /** Limits of the caller's key. */
  readonly limits?: KeyLimits | undefined;
}

/** Decides which requests are accepted. */
export interface AuthPolicy {
  /**
   * Returns the caller of a request by its `Authorization` header.
   *
   * @throws InferenceError `invalid_api_key` or `store_unavailable`
   */
  authenticate(authorization: string | undefined): Promise<Caller>;
  /** Returns whether keys are required. Throws InferenceError `store_unavailable` while unknown. */
  keysRequired(): Promise<boolean>;
}

/** A quantity with a limit per minute. */
export type RateKind = "requests" | "tokens";

/** A limit and its remaining amount. */
export interface RateLimitStatus {
  /** The limit. */
  limit: number;
  /** The remaining amount. */
  remaining: number;
  /** Milliseconds until the whole limit is available again. */
  reset: number;
}

/** The account of one caller. */
export interface AccountApi {
  /** Returns the maximum number of prompt tokens of a request; `fallback` if no limit applies. */
  promptTokenLimit(fallback: number): number;

  /**
   * Counts a request. Returns a function that undoes this.
   *
   * @throws InferenceError `rate_limit_exceeded`
   */
  countRequest(): () => void;

  /**
   * Asserts that this many prompt tokens may be processed now.
   *
   * @throws InferenceError `rate_limit_exceeded` if fewer tokens are left in this minute
   */
  assertTokensLeft(tokens: number): void;

  /** Charges the tokens of a prompt that is going to be processed. */
  charge(tokens: number): TokenCharge;

  /**
   * Reserves storage for new states. Returns a function that releases the reservation.
   *
   * @throws InferenceError `storage_limit_exceeded`
   */
  reserveStorage(states: number, bytes: number): Promise<() => void>;

  /**
   * Creates a conversation if the limits allow it.
   *
   * @throws InferenceError `storage_limit_exceeded`, or the error of `make`
   */
  createConversation<T>(make: () => Promise<T>): Promise<T>;

  /** Records that a conversation was deleted. */
  conversationRemoved(): void;

  /** The remaining amounts of this minute, for each limit that applies. */
  readonly rateLimits: Partial<Record<RateKind, RateLimitStatus>>;
}
