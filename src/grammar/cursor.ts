/** A parser's position in a text, by character. */

import { GrammarError, quoted } from "./grammar_error.ts";

const HEX = /^[0-9a-fA-F]+$/;

/** Code points of the one-letter escapes that all grammars share. */
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, b: 8 };

/** Reads a text character by character. Errors name the position. */
export class Cursor {
  readonly #chars: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#chars = [...text];
  }

  /** Index of the next character. */
  get at(): number {
    return this.#at;
  }

  /** Whether the whole text is consumed. */
  get done(): boolean {
    return this.#at === this.#chars.length;
  }

  /** Returns the character `ahead` positions from here, or an empty text past the end. */
  peek(ahead = 0): string {
    return this.#chars[this.#at + ahead] ?? "";
  }

  /** Consumes one character. */
  next(): string {
    if (this.done) this.fail("unexpected end");
    return this.#chars[this.#at++];
  }

  /** Consumes `text` if it is next; returns whether it was. */
  take(text: string): boolean {
    const chars = [...text];
    if (chars.some((char, i) => this.peek(i) !== char)) return false;
    this.#at += chars.length;
    return true;
  }

  /** Consumes `text` or fails. */
  expect(text: string): void {
    if (!this.take(text)) this.fail(`${quoted(text)} expected`);
  }

  /** Consumes and returns characters while they match. */
  takeWhile(match: RegExp): string {
    let taken = "";
    while (match.test(this.peek())) taken += this.next();
    return taken;
  }

  /** Consumes a non-negative integer. */
  number(): number {
    const digits = this.takeWhile(/^\d$/);
    if (digits === "") this.fail("number expected");
    return Number(digits);
  }

  /** Consumes the rest of `{min}`, `{min,}` or `{min,max}` after its opening brace. */
  bounds(): [min: number, max: number] {
    const min = this.number();
    const max = !this.take(",") ? min : this.peek() === "}" ? Infinity : this.number();
    this.expect("}");
    if (max < min) this.fail(`the minimum ${min} exceeds the maximum ${max}`);
    return [min, max];
  }

  /** Returns the code point of the escape that starts with `letter`, or `null` if it is not a common one. */
  escaped(letter: string): number | null {
    if (letter in CONTROLS) return CONTROLS[letter];
    if (letter === "x") return this.#hex(2);
    if (letter === "U") return this.#hex(8);
    if (letter !== "u") return null;
    if (!this.take("{")) return this.#pair(this.#hex(4));
    const digits = this.takeWhile(/^[0-9a-fA-F]$/);
    this.expect("}");
    return this.#char(digits);
  }

  /** Throws a GrammarError at the current position. */
  fail(problem: string): never {
    throw new GrammarError(`${this.place()}: ${problem}`);
  }

  /** Describes the current position for error messages. */
  place(): string {
    return `at character ${this.#at + 1}`;
  }

  /** Combines a high surrogate with the low surrogate that must follow it. */
  #pair(unit: number): number {
    if (unit < 0xd800 || unit > 0xdbff || !this.take("\\u")) return unit;
    const low = this.#hex(4);
    if (low < 0xdc00 || low > 0xdfff) this.fail("unpaired surrogate");
    return 0x10000 + (unit - 0xd800) * 0x400 + low - 0xdc00;
  }

  #hex(length: number): number {
    let digits = "";
    for (let i = 0; i < length; i++) digits += this.next();
    return this.#char(digits);
  }

  #char(digits: string): number {
    const char = HEX.test(digits) ? parseInt(digits, 16) : Infinity;
    if (char > 0x10ffff) this.fail(`${quoted(digits)} is not a valid code point`);
    return char;
  }
}
