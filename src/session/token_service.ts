/** Texts as token ids and back, as the model of this worker reads them. */

import { InferenceError } from "../core/errors.ts";
import { joinInSlices } from "../core/time_slice.ts";
import type { Message } from "../prompt/chat_template.ts";
import type { TokenCodec } from "../prompt/reply.ts";
import { MAX_TOKENIZED, type TokenApi } from "./session_api.ts";
import type { SessionModel } from "./session_types.ts";
import { limitedCodec } from "./generation_request.ts";
import { buildPrompt } from "./build_prompt.ts";

/** Texts and messages to ids, and back. */
export class TokenService implements TokenApi {
  readonly #tokenizer: TokenCodec;
  readonly #model: SessionModel;

  /** A desk in front of the model's tokenizer. */
  constructor(tokenizer: TokenCodec, model: SessionModel) {
    this.#tokenizer = tokenizer;
    this.#model = model;
  }

  /**
   * Ids of a text as it stands.
   *
   * @throws InferenceError `invalid_value` for too many of them
   */
  tokenize(text: string): number[] {
    return this.#bounded("prompt").encode(text);
  }

  /**
   * Ids that a turn reads of these messages where nothing came before, the reply's start included.
   *
   * @throws InferenceError `invalid_value` where such a turn would, and for too many of them
   */
  async tokenizeMessages(messages: readonly Message[]): Promise<number[]> {
    const tokenizer = this.#bounded("messages");
    const { pending } = await buildPrompt(null, messages, {
      tokenizer,
      seed: 0n,
      freshSeed: () => 0n,
    });
    return [...pending];
  }

  /**
   * The text of ids; bytes that are no UTF-8, as ids may give them, become U+FFFD.
   *
   * @throws InferenceError `invalid_value` for an id that the vocabulary does not have
   */
  async detokenize(ids: readonly number[]): Promise<string> {
    const parts: Uint8Array[] = [];
    for (const [i, id] of ids.entries()) {
      if (id === this.#tokenizer.endOfText) continue;
      const bytes = id < this.#model.vocabulary ? this.#tokenizer.tokenBytes(id) : undefined;
      if (bytes === undefined) throw this.#unknown(id, i);
      parts.push(bytes);
    }
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(await joinInSlices(parts));
  }

  #bounded(param: string): TokenCodec {
    return limitedCodec(this.#tokenizer, MAX_TOKENIZED, () => {
      return new InferenceError(
        "invalid_value",
        `${param}: there are more than ${MAX_TOKENIZED} tokens; send it in parts`,
        { param },
      );
    });
  }

  #unknown(id: number, at: number): InferenceError {
    const param = `tokens[${at}]`;
    return new InferenceError(
      "invalid_value",
      `${param}: the vocabulary has no token ${id}; send ids that /v1/tokenize gives, ` +
        `all below ${this.#model.vocabulary}`,
      { param },
    );
  }
}
