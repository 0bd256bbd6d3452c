/** What is told of the tokens of a reply, in step with the text that is shown of them. */

import type { TokenLogprobs } from "../core/sampling.ts";
import type { TokenCodec } from "../prompt/reply.ts";
import type { TextToken, TokenProbability } from "./session_types.ts";

export class TokenLog {
  readonly #tokenizer: TokenCodec;
  /** Tokens whose text has not been shown, with where it ends in the bytes that have come. */
  readonly #waiting: { told: TextToken; end: number }[] = [];
  #bytes: number;

  /** @param before Bytes that came before and are still to be shown. */
  constructor(tokenizer: TokenCodec, before: number) {
    this.#tokenizer = tokenizer;
    this.#bytes = before;
  }

  /** Takes a token that was sampled. */
  push(token: number, { logprob, top }: TokenLogprobs): void {
    const told = this.#chance(token, logprob);
    this.#bytes += told.bytes.length;
    const likely = top.map(({ token, logprob }) => this.#chance(token, logprob));
    this.#waiting.push({ told: { ...told, top: likely }, end: this.#bytes });
  }

  /** The tokens that have been shown and not told, where `seen` bytes have been shown. */
  take(seen: number): TextToken[] {
    const count = this.#waiting.findIndex(({ end }) => end > seen);
    return this.#waiting.splice(0, count < 0 ? this.#waiting.length : count)
      .map(({ told }) => told);
  }

  #chance(token: number, logprob: number): TokenProbability {
    return { token, bytes: this.#tokenizer.tokenBytes(token) ?? new Uint8Array(), logprob };
  }
}
