/** Limits of one request and of its turns. */

/** Limits of one request and of its turns. */
export interface SessionLimits {
  /** Maximum number of prompt tokens of one request. */
  promptTokens: number;
  /** Maximum number of sampled tokens of one turn. Larger values in a request are reduced to it. */
  maxTokens: number;
  /** Maximum number of sampled tokens if the request does not set one. */
  defaultMaxTokens: number;
  /**
   * Maximum number of log probabilities to buffer for one request: all of them for a reply that is
   * not streamed, the unread ones for a stream.
   */
  logprobs: number;
  /** Seconds after which a turn ends with the reply so far, as with `maxTokens`. */
  turnSeconds: number;
}

export const DEFAULT_LIMITS: SessionLimits = {
  promptTokens: 32_768,
  maxTokens: 32_768,
  defaultMaxTokens: 512,
  // About 280 bytes each, including their JSON.
  logprobs: 200_000,
  turnSeconds: 600,
};
