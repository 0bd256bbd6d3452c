/** Tokens of a turn on their way from the scheduler's loop to whoever iterates over them. */

import type { TokenBatch } from "./scheduler_types.ts";

/** An async iterable that is pushed to; for one consumer. */
export class TokenQueue implements AsyncIterable<TokenBatch> {
  readonly #waiting: TokenBatch[] = [];
  #ended = false;
  #failure: unknown;
  #wake: () => void = () => {};

  /** Adds tokens that have come at once. */
  push(batch: TokenBatch): void {
    this.#waiting.push(batch);
    this.#wake();
  }

  /** Ends the iteration once all tokens are taken, with an error if given. */
  end(failure?: unknown): void {
    this.#ended = true;
    this.#failure = failure;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TokenBatch> {
    while (true) {
      while (this.#waiting.length > 0) yield this.#waiting.shift()!;
      if (this.#ended) break;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}
