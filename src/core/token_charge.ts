/** The charge for the tokens of one turn against a rate limit. */
export interface TokenCharge {
  /** Charges more tokens that were generated. */
  generated(tokens: number): void;
  /** Takes back the charge for prompt tokens that were not processed. */
  refund(tokens: number): void;
}
