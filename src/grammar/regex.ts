/**
 * Regular expressions as trees: JavaScript's with the flag `u`, as far as they are regular. What
 * looks around, refers back or knows words is refused.
 */

import {
  ALL_CHARS,
  type Chars,
  charsIn,
  charsOf,
  type Range,
  subtractChars,
} from "./code_points.ts";
import { Cursor } from "./cursor.ts";
import { quoted } from "./refusal.ts";
import { chars, choice, repeat, sequence, text, type Tree } from "./tree.ts";

export interface RegexOptions {
  /** Whether the expression may match in the midst of a text, as it does unless it has anchors. */
  search: boolean;
  /** Whether classes such as `[^a]` and `\s`, which do not name the newline, have it. */
  newlines: boolean;
}

const DIGITS = charsOf([[0x30, 0x39]]);
const WORD = charsOf([[0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a], [0x5f, 0x5f]]);
const SPACE = charsOf([
  [9, 13],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const LINE_ENDS = charsIn("\n\r\u2028\u2029");
const NEWLINES = charsIn("\n");

const ANY = subtractChars(ALL_CHARS, LINE_ENDS);

const CLASSES: Readonly<Record<string, Chars>> = {
  d: DIGITS,
  D: subtractChars(ALL_CHARS, DIGITS),
  w: WORD,
  W: subtractChars(ALL_CHARS, WORD),
  s: SPACE,
  S: subtractChars(ALL_CHARS, SPACE),
};

/** What begins a group of its own kind. */
const GROUPS = /^[=!<#>iIsmxuaL-]$/;

const MAX_DEPTH = 64;

/** @throws Refusal that tells where, for an expression that is malformed or not supported */
export function parseRegex(pattern: string, options: RegexOptions): Tree {
  const parser = new Parser(pattern, options);
  return parser.whole();
}

class Parser {
  readonly #cursor: Cursor;
  readonly #options: RegexOptions;
  #depth = 0;

  constructor(pattern: string, options: RegexOptions) {
    this.#cursor = new Cursor(pattern);
    this.#options = options;
  }

  whole(): Tree {
    const anything = repeat(chars(ALL_CHARS), 0, Infinity);
    const around = this.#options.search ? [anything] : [];
    const options: Tree[] = [];
    do {
      const first = this.#cursor.take("^");
      const middle = this.#sequence();
      const last = this.#cursor.take("$");
      options.push(sequence(...first ? [] : around, middle, ...last ? [] : around));
    } while (this.#cursor.take("|"));
    if (!this.#cursor.done) this.#unexpected();
    return choice(...options);
  }

  #choice(): Tree {
    const options: Tree[] = [];
    do options.push(this.#sequence()); while (this.#cursor.take("|"));
    return choice(...options);
  }

  #sequence(): Tree {
    const parts: Tree[] = [];
    while (!this.#cursor.done && !/^[|)$]$/.test(this.#cursor.peek())) {
      parts.push(this.#quantified(this.#atom()));
    }
    return sequence(...parts);
  }

  #quantified(part: Tree): Tree {
    const cursor = this.#cursor;
    const bounds = this.#quantifier();
    if (bounds === null) return part;
    cursor.take("?"); // lazy: the same texts
    if (/^[*+?]$/.test(cursor.peek())) this.#unexpected();
    return repeat(part, ...bounds);
  }

  #quantifier(): [min: number, max: number] | null {
    const cursor = this.#cursor;
    if (cursor.take("*")) return [0, Infinity];
    if (cursor.take("+")) return [1, Infinity];
    if (cursor.take("?")) return [0, 1];
    return cursor.take("{") ? cursor.bounds() : null;
  }

  #atom(): Tree {
    const cursor = this.#cursor;
    if (/^[*+?{}\]]$/.test(cursor.peek())) this.#unexpected();
    if (cursor.peek() === "^") {
      cursor.fail(
        "^ and $ are supported only at the ends of the expression and of its alternatives",
      );
    }
    if (cursor.take("(")) return this.#group();
    if (cursor.take("[")) return chars(this.#class());
    if (cursor.take(".")) return chars(ANY);
    if (!cursor.take("\\")) return text(cursor.next());
    const found = this.#escape();
    return typeof found === "number" ? chars([[found, found]]) : chars(this.#visible(found, false));
  }

  #group(): Tree {
    const cursor = this.#cursor;
    if (cursor.take("?") && !cursor.take(":")) {
      cursor.take("P");
      if (!/^<[^=!]$/.test(cursor.peek() + cursor.peek(1))) {
        if (GROUPS.test(cursor.peek())) {
          cursor.fail(`groups that begin with ${quoted(`(?${cursor.peek()}`)} are not supported`);
        }
        this.#unexpected();
      }
      cursor.takeWhile(/^[^>)]$/u);
      cursor.expect(">");
    }
    if (++this.#depth > MAX_DEPTH) cursor.fail(`groups are nested more than ${MAX_DEPTH} deep`);
    const inner = this.#choice();
    this.#depth--;
    if (cursor.peek() === "$") cursor.fail("$ is supported only at the end of an alternative");
    cursor.expect(")");
    return inner;
  }

  /** What follows a backslash: a character, or a class. */
  #escape(): number | Chars {
    const cursor = this.#cursor;
    const letter = cursor.next();
    if (letter in CLASSES) return CLASSES[letter];
    if (letter === "0" && !/^\d$/.test(cursor.peek())) return 0;
    if (letter !== "b" && letter !== "U") {
      const found = cursor.escaped(letter);
      if (found !== null) return found;
      if (!/^[0-9a-zA-Z]$/.test(letter)) return letter.codePointAt(0)!;
    }
    return cursor.fail(`\\${letter} is not supported`);
  }

  #class(): Chars {
    const cursor = this.#cursor;
    const negated = cursor.take("^");
    const ranges: Range[] = [];
    let newline = false;
    while (!cursor.take("]")) {
      const low = this.#member();
      if (typeof low !== "number") {
        ranges.push(...low);
        continue;
      }
      let high = low;
      if (cursor.peek() === "-" && cursor.peek(1) !== "]") {
        cursor.next();
        const member = this.#member();
        high = typeof member === "number" ? member : cursor.fail("a range ends with a class");
      }
      if (high < low) cursor.fail("the range ends before it begins");
      newline ||= low <= 10 && 10 <= high;
      ranges.push([low, high]);
    }
    const found = charsOf(ranges);
    return this.#visible(negated ? subtractChars(ALL_CHARS, found) : found, newline && !negated);
  }

  #member(): number | Chars {
    const cursor = this.#cursor;
    if (!cursor.take("\\")) return cursor.next().codePointAt(0)!;
    return cursor.take("b") ? 8 : this.#escape();
  }

  #visible(found: Chars, named: boolean): Chars {
    return this.#options.newlines || named ? found : subtractChars(found, NEWLINES);
  }

  #unexpected(): never {
    const char = this.#cursor.peek();
    return this.#cursor.fail(char === "" ? "it ends too early" : `${quoted(char)} is unexpected`);
  }
}
