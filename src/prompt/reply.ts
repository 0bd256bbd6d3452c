/**
 * A reply as it grows: token ids in, visible text out, whether it is over, and which tokens the
 * state still needs then, so that every closed turn ends with exactly `\n\n`.
 */

import type { StopStrings } from "../core/sampling.ts";
import { TURN_END } from "./chat_template.ts";
import { StopMatcher } from "./stop_matcher.ts";

/** What a session needs of a tokenizer. */
export interface TokenCodec {
  /** Ids of a text; of more than `most`, only the first ones, one more than that. */
  encode(text: string, most?: number): number[];
  /** Bytes of a token; `undefined` where the id is none, or has none. */
  tokenBytes(id: number): Uint8Array | undefined;
  /** Id that ends a text, if there is one. */
  readonly endOfText: number | null;
}

export interface ReplyOptions {
  /** Strings that end the reply, besides `\n\n` and the end of text. */
  stop?: readonly string[] | undefined;
  /** The reply so far, when it is written on. */
  text?: string | undefined;
  /** Bytes of the reply that were not shown yet. */
  undisplayedBytes?: Uint8Array | undefined;
  /** Whether it goes on a text as it stands: an empty line does not end it, nor is one added. */
  rawText?: boolean | undefined;
  /** Whether nothing but `stop` ends it: neither an empty line nor the end of text. */
  ignoreEos?: boolean | undefined;
}

const NEWLINE = 10;

export class Reply {
  readonly #tokenizer: TokenCodec;
  readonly #matcher: StopMatcher;
  #text: string;
  /** Newlines that the reply ends with. */
  #newlines: number;
  #ended = false;
  #hidesText = false;
  readonly #plain: boolean;
  /** Id that ends it. */
  readonly #endOfText: number | null;
  /** What replaces the last token when the turn is closed; `null` is the token itself. */
  #lastToken: readonly number[] | null = null;

  constructor(
    tokenizer: TokenCodec,
    {
      stop = [],
      text = "",
      undisplayedBytes: undisplayedBytes,
      rawText: plain = false,
      ignoreEos: endless = false,
    }: ReplyOptions = {},
  ) {
    this.#tokenizer = tokenizer;
    this.#plain = plain;
    this.#text = text;
    const shown = new TextEncoder().encode(text);
    this.#endOfText = endless ? null : tokenizer.endOfText;
    const always = plain || endless ? [] : [TURN_END];
    this.#matcher = new StopMatcher([...always, ...stop], {
      displayedBytes: shown,
      undisplayedBytes: undisplayedBytes,
      alwaysStop: always.length,
    });
    this.#newlines = trailingNewlines(this.#matcher.held, trailingNewlines(shown, 0));
  }

  /** Everything visible, what came before this turn included. */
  get text(): string {
    return this.#text;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Whether the tokens that a state reads of the closed reply have text that was not shown: a stop
   * that is no empty line. Who sends the reply in a history does not send that.
   */
  get hasHiddenText(): boolean {
    return this.#hidesText;
  }

  /** What ends the reply from here on, for whoever samples it. */
  get stops(): StopStrings {
    return this.#matcher.stopStrings;
  }

  /** Bytes that a cut reply has not shown. */
  get held(): Uint8Array {
    return this.#matcher.held;
  }

  /** Takes a sampled token; returns the text that becomes visible. */
  push(token: number): string {
    if (this.#ended) throw new Error("The reply has ended");
    if (token === this.#endOfText) {
      this.#ended = true;
      this.#lastToken = [];
      return this.#show(this.#matcher.flush());
    }
    const bytes = this.#tokenizer.tokenBytes(token) ?? new Uint8Array();
    const text = this.#show(this.#matcher.push(bytes));
    if (this.#matcher.stopped) this.#ended = true;
    if (this.#matcher.stopped && !this.#plain) {
      const kept = bytes.subarray(0, turnEnd(bytes, this.#newlines));
      if (kept.length < bytes.length) this.#lastToken = this.#encode(kept);
      this.#newlines = trailingNewlines(kept, this.#newlines);
      const { discardedBytes: cutOff } = this.#matcher;
      const unread = this.#lastToken === null ? 0 : bytes.length - kept.length;
      this.#hidesText = cutOff.subarray(0, cutOff.length - unread).some((byte) => byte !== NEWLINE);
    } else {
      this.#newlines = trailingNewlines(bytes, this.#newlines);
    }
    return text;
  }

  /** Bytes that have become visible, those held from before included. */
  get displayedByteCount(): number {
    return this.#matcher.displayedByteCount;
  }

  /** The text that becomes visible when the reply is cut short. */
  flushDisplayable(): string {
    return this.#show(this.#matcher.flushDisplayable());
  }

  /**
   * Tokens to feed before anything else follows: those `pending`, then what is missing of `\n\n`.
   * The end of text is never fed, nor what a last token has after `\n\n`.
   */
  closingTokens(pending: readonly number[]): number[] {
    const tokens = this.#lastToken === null
      ? [...pending]
      : [...pending.slice(0, -1), ...this.#lastToken];
    if (this.#plain) return tokens;
    const missing = TURN_END.slice(Math.min(this.#newlines, TURN_END.length));
    return missing === "" ? tokens : [...tokens, ...this.#tokenizer.encode(missing)];
  }

  /** The space after `Assistant:` is the model's to write, and nobody's to read. */
  #show(text: string): string {
    const visible = this.#text === "" && !this.#plain ? text.trimStart() : text;
    this.#text += visible;
    return visible;
  }

  /** `null` where `bytes` are not a text of their own. */
  #encode(bytes: Uint8Array): number[] | null {
    try {
      return this.#tokenizer.encode(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      return null;
    }
  }
}

/** Index after the first `\n\n` that ends in `bytes`, which follow `before` newlines. */
function turnEnd(bytes: Uint8Array, before: number): number {
  const at = bytes.findIndex((byte, i) =>
    byte === NEWLINE && (i === 0 ? before > 0 : bytes[i - 1] === NEWLINE)
  );
  return at < 0 ? bytes.length : at + 1;
}

function trailingNewlines(bytes: Uint8Array, before: number): number {
  const last = bytes.findLastIndex((byte) => byte !== NEWLINE);
  return last < 0 ? before + bytes.length : bytes.length - 1 - last;
}
