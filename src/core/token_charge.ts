/** The charge for the tokens of one turn against a rate limit. */
export interface TokenCharge {
  /** Charges generated tokens. */
  generated(tokens: number): void;
  /** Refunds prompt tokens that were not processed. */
  refund(tokens: number): void;
}
