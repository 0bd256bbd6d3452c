/** A text as a parser goes through it, character by character. */

import { GrammarError, quoted } from "./refusal.ts";

const HEX = /^[0-9a-fA-F]+$/;

/** What escapes of one letter stand for, wherever they do. */
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, b: 8 };

export class Cursor {
  readonly #chars: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#chars = [...text];
  }

  get at(): number {
    return this.#at;
  }

  get done(): boolean {
    return this.#at === this.#chars.length;
  }

  /** The next character, or one after it; empty at the end. */
  peek(ahead = 0): string {
    return this.#chars[this.#at + ahead] ?? "";
  }

  next(): string {
    if (this.done) this.fail("it ends too early");
    return this.#chars[this.#at++];
  }

  /** Takes `text` if it comes next. */
  take(text: string): boolean {
    const chars = [...text];
    if (chars.some((char, i) => this.peek(i) !== char)) return false;
    this.#at += chars.length;
    return true;
  }

  expect(text: string): void {
    if (!this.take(text)) this.fail(`${quoted(text)} is missing`);
  }

  /** Takes characters as long as they match. */
  takeWhile(match: RegExp): string {
    let taken = "";
    while (match.test(this.peek())) taken += this.next();
    return taken;
  }

  /** A whole number. */
  number(): number {
    const digits = this.takeWhile(/^\d$/);
    if (digits === "") this.fail("a number is missing");
    return Number(digits);
  }

  /** `{min}`, `{min,}` or `{min,max}`, of which the brace has been taken. */
  bounds(): [min: number, max: number] {
    const min = this.number();
    const max = !this.take(",") ? min : this.peek() === "}" ? Infinity : this.number();
    this.expect("}");
    if (max < min) this.fail(`no count is between ${min} and ${max}`);
    return [min, max];
  }

  /** What `letter`, which followed a backslash, stands for; `null` if nothing in general. */
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

  fail(problem: string): never {
    throw new GrammarError(`${this.place()}: ${problem}`);
  }

  place(): string {
    return `at character ${this.#at + 1}`;
  }

  /** The character that a surrogate makes with the one that follows it. */
  #pair(unit: number): number {
    if (unit < 0xd800 || unit > 0xdbff || !this.take("\\u")) return unit;
    const low = this.#hex(4);
    if (low < 0xdc00 || low > 0xdfff) this.fail("half a character");
    return 0x10000 + (unit - 0xd800) * 0x400 + low - 0xdc00;
  }

  #hex(length: number): number {
    let digits = "";
    for (let i = 0; i < length; i++) digits += this.next();
    return this.#char(digits);
  }

  #char(digits: string): number {
    const char = HEX.test(digits) ? parseInt(digits, 16) : Infinity;
    if (char > 0x10ffff) this.fail(`${quoted(digits)} is no character's number`);
    return char;
  }
}
