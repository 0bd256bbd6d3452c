/** Tokenization with the model's vocabulary. */

import { InferenceError } from "../core/errors.ts";
import { joinInSlices } from "../core/time_slice.ts";
import type { Message } from "../prompt/chat_template.ts";
import type { TokenCodec } from "../prompt/reply.ts";
import { MAX_TOKENIZED, type TokenApi } from "./session_api.ts";
import type { SessionModel } from "./session_types.ts";
import { limitedCodec } from "./generation_request.ts";
import { buildPrompt } from "./build_prompt.ts";

/** Tokenizes texts and messages, and detokenizes ids. */
export class TokenService implements TokenApi {
  readonly #tokenizer: TokenCodec;
  readonly #model: SessionModel;

  /** Creates the service for the model's tokenizer. */
  constructor(tokenizer: TokenCodec, model: SessionModel) {
    this.#tokenizer = tokenizer;
    this.#model = model;
  }

  /**
   * Returns the token ids of a text.
   *
   * @throws InferenceError `invalid_value` for too many tokens
   */
  tokenize(text: string): number[] {
    return this.#limitedCodec("prompt").encode(text);
  }

  /**
   * Returns the token ids that a first turn with these messages processes, including the start of
   * the reply.
   *
   * @throws InferenceError `invalid_value` if such a turn is invalid, or for too many tokens
   */
  async tokenizeMessages(messages: readonly Message[]): Promise<number[]> {
    const tokenizer = this.#limitedCodec("messages");
    const { pending } = await buildPrompt(null, messages, {
      tokenizer,
      seed: 0n,
      freshSeed: () => 0n,
    });
    return [...pending];
  }

  /**
   * Returns the text of token ids. Bytes that are not UTF-8 become U+FFFD.
   *
   * @throws InferenceError `invalid_value` for an id that the vocabulary does not have
   */
  async detokenize(ids: readonly number[]): Promise<string> {
    const parts: Uint8Array[] = [];
    for (const [i, id] of ids.entries()) {
      if (id === this.#tokenizer.endOfText) continue;
      const bytes = id < this.#model.vocabulary ? this.#tokenizer.tokenBytes(id) : undefined;
      if (bytes === undefined) throw this.#unknownToken(id, i);
      parts.push(bytes);
    }
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(await joinInSlices(parts));
  }

  #limitedCodec(param: string): TokenCodec {
    return limitedCodec(this.#tokenizer, MAX_TOKENIZED, () => {
      return new InferenceError(
        "invalid_value",
        `${param}: the input has more than ${MAX_TOKENIZED} tokens; send it in parts`,
        { param },
      );
    });
  }

  #unknownToken(id: number, at: number): InferenceError {
    const param = `tokens[${at}]`;
    return new InferenceError(
      "invalid_value",
      `${param}: the vocabulary has no token ${id}; send ids from /v1/tokenize, ` +
        `which are below ${this.#model.vocabulary}`,
      { param },
    );
  }
}
