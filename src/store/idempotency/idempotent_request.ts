/** A request with an idempotency key. */
export interface IdempotentRequest {
  /** The client's key. */
  key: string;
  /** Keys of different routes are different keys. */
  route: string;
  /** Everything that determines the response. */
  body: string;
}
