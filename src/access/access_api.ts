/** What the HTTP routes ask of keys and limits. Routes depend on these interfaces, not on the classes. */

import type { TokenCharge } from "../core/token_charge.ts";
import type { KeyLimits } from "../store/keys/key_limits.ts";

/** Whose request it is. */
export interface Caller {
  /** What it sees and makes is this tenant's, and nobody else's. */
  readonly tenant: string;
  /** Bounds that came with its key. */
  readonly limits?: KeyLimits | undefined;
}

/** What the application asks about its callers. */
export interface AuthPolicy {
  /**
   * Whose a request is, by its header `Authorization`.
   *
   * @throws InferenceError `invalid_api_key` or `store_unavailable`
   */
  authenticate(authorization: string | undefined): Promise<Caller>;
  /** Whether keys are needed. Throws InferenceError `store_unavailable` while that is not known. */
  keysRequired(): Promise<boolean>;
}

/** What is counted by the minute. */
export type RateKind = "requests" | "tokens";

/** A bound, and what is left of it. */
export interface RateLimitStatus {
  /** The bound. */
  limit: number;
  /** What may come yet. */
  remaining: number;
  /** Milliseconds until nothing counts any more, if nothing else comes. */
  reset: number;
}

/** What one caller may use. */
export interface AccountApi {
  /** Returns the maximum number of prompt tokens of a request; `fallback` if no limit applies. */
  promptTokenLimit(fallback: number): number;

  /**
   * Counts a request. The function that is returned takes the count back.
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
   * Reserves storage for new states. The function that is returned releases it.
   *
   * @throws InferenceError `storage_limit_exceeded`
   */
  reserveStorage(states: number, bytes: number): Promise<() => void>;

  /**
   * Creates a conversation if the limits allow it.
   *
   * @throws InferenceError `storage_limit_exceeded`, and what `make` throws
   */
  createConversation<T>(make: () => Promise<T>): Promise<T>;

  /** Records that a conversation was deleted. */
  conversationRemoved(): void;

  /** What is left in this minute, for each limit that applies. */
  readonly rateLimits: Partial<Record<RateKind, RateLimitStatus>>;
}
