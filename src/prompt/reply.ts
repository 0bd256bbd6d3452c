/**
 * A growing reply: takes token ids, returns displayable text, and detects the end. At the end it
 * returns the tokens that the state must still process, so that every closed turn ends with exactly
 * `\n\n`.
 */

import type { StopStrings } from "../core/sampling.ts";
import { TURN_END } from "./chat_template.ts";
import { StopMatcher } from "./stop_matcher.ts";

/** The tokenizer methods that sessions use. */
export interface TokenCodec {
  /** Returns the ids of a text. Stops after `limit` + 1 ids. */
  encode(text: string, limit?: number): number[];
  /** Returns the bytes of a token; `undefined` if the id is unknown or has no bytes. */
  tokenBytes(id: number): Uint8Array | undefined;
  /** Id of the end-of-text token, if there is one. */
  readonly endOfText: number | null;
}

export interface ReplyOptions {
  /** Strings that end the reply, besides `\n\n` and the end of text. */
  stop?: readonly string[] | undefined;
  /** The reply so far, if an unfinished one continues. */
  text?: string | undefined;
  /** Bytes of the reply so far that were not displayed. */
  undisplayedBytes?: Uint8Array | undefined;
  /** Whether the reply continues a raw text. An empty line neither ends it nor is added to it. */
  rawText?: boolean | undefined;
  /** Whether only `stop` ends the reply, not an empty line or the end of text. */
  ignoreEos?: boolean | undefined;
}

const NEWLINE = 10;

export class Reply {
  readonly #tokenizer: TokenCodec;
  readonly #matcher: StopMatcher;
  #text: string;
  /** Number of newlines at the end of the reply. */
  #newlines: number;
  #ended = false;
  #hidesText = false;
  readonly #plain: boolean;
  /** Token id that ends the reply. */
  readonly #endOfText: number | null;
  /** Tokens that replace the last one when the turn is closed; `null` if it stays. */
  #lastToken: readonly number[] | null = null;

  constructor(
    tokenizer: TokenCodec,
    {
      stop = [],
      text = "",
      undisplayedBytes,
      rawText = false,
      ignoreEos = false,
    }: ReplyOptions = {},
  ) {
    this.#tokenizer = tokenizer;
    this.#plain = rawText;
    this.#text = text;
    const displayed = new TextEncoder().encode(text);
    this.#endOfText = ignoreEos ? null : tokenizer.endOfText;
    const always = rawText || ignoreEos ? [] : [TURN_END];
    this.#matcher = new StopMatcher([...always, ...stop], {
      displayedBytes: displayed,
      undisplayedBytes,
      alwaysStop: always.length,
    });
    this.#newlines = trailingNewlines(
      this.#matcher.undisplayedBytes,
      trailingNewlines(displayed, 0),
    );
  }

  /** All displayed text, including that of earlier turns of the same reply. */
  get text(): string {
    return this.#text;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Whether the state of the closed reply has processed text that was not displayed: a stop string
   * other than an empty line. A client that sends the reply in a history does not send that text.
   */
  get hasHiddenText(): boolean {
    return this.#hidesText;
  }

  /** The stop strings for the sampler, with the bytes in which one may have begun. */
  get stops(): StopStrings {
    return this.#matcher.stopStrings;
  }

  /** Bytes of an unfinished reply that were not displayed. */
  get undisplayedBytes(): Uint8Array {
    return this.#matcher.undisplayedBytes;
  }

  /** Adds a sampled token. Returns the text that can be displayed. */
  push(token: number): string {
    if (this.#ended) throw new Error("The reply has ended");
    if (token === this.#endOfText) {
      this.#ended = true;
      this.#lastToken = [];
      return this.#display(this.#matcher.flush());
    }
    const bytes = this.#tokenizer.tokenBytes(token) ?? new Uint8Array();
    const text = this.#display(this.#matcher.push(bytes));
    if (this.#matcher.stopped) this.#ended = true;
    if (this.#matcher.stopped && !this.#plain) {
      const retained = bytes.subarray(0, turnEnd(bytes, this.#newlines));
      if (retained.length < bytes.length) this.#lastToken = this.#encode(retained);
      this.#newlines = trailingNewlines(retained, this.#newlines);
      const { discardedBytes } = this.#matcher;
      const unprocessed = this.#lastToken === null ? 0 : bytes.length - retained.length;
      this.#hidesText = discardedBytes.subarray(0, discardedBytes.length - unprocessed).some((
        byte,
      ) => byte !== NEWLINE);
    } else {
      this.#newlines = trailingNewlines(bytes, this.#newlines);
    }
    return text;
  }

  /** Number of bytes displayed, including earlier undisplayed bytes. */
  get displayedByteCount(): number {
    return this.#matcher.displayedByteCount;
  }

  /** Returns the rest of the text that can be displayed when the reply ends unfinished. */
  flushDisplayable(): string {
    return this.#display(this.#matcher.flushDisplayable());
  }

  /**
   * Returns the tokens to process before anything else: `pending`, then the missing part of `\n\n`.
   * The end-of-text token is never processed, nor the bytes of the last token after `\n\n`.
   */
  closingTokens(pending: readonly number[]): number[] {
    const tokens = this.#lastToken === null
      ? [...pending]
      : [...pending.slice(0, -1), ...this.#lastToken];
    if (this.#plain) return tokens;
    const missing = TURN_END.slice(Math.min(this.#newlines, TURN_END.length));
    return missing === "" ? tokens : [...tokens, ...this.#tokenizer.encode(missing)];
  }

  /** The model generates a space after `Assistant:`. It is not part of the reply. */
  #display(text: string): string {
    const visible = this.#text === "" && !this.#plain ? text.trimStart() : text;
    this.#text += visible;
    return visible;
  }

  /** Returns `null` if the bytes are not valid UTF-8 on their own. */
  #encode(bytes: Uint8Array): number[] | null {
    try {
      return this.#tokenizer.encode(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      return null;
    }
  }
}

/**
 * Returns the index after the first `\n\n` that ends in `bytes`. `before` newlines precede them.
 */
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
