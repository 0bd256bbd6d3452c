/** Limits of requests. */

/** What a turn may ask for at most. */
export interface SessionLimits {
  /** Tokens that one request may give to read. */
  promptTokens: number;
  /** Tokens that one turn may sample; a larger wish is cut to this. */
  maxTokens: number;
  /** Tokens that a turn samples at most where the request does not say. */
  defaultMaxTokens: number;
  /**
   * Probabilities that are held for one request: of a reply that is not streamed, all of them; of a
   * stream, those that its client has not read.
   */
  logprobs: number;
  /** Seconds after which a turn ends as it is, as if it had reached its limit. */
  turnSeconds: number;
}

export const DEFAULT_LIMITS: SessionLimits = {
  promptTokens: 32_768,
  maxTokens: 32_768,
  defaultMaxTokens: 512,
  // Some 280 bytes each, with the JSON that they become.
  logprobs: 200_000,
  turnSeconds: 600,
};
