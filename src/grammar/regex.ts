/**
 * Parses the regular subset of JavaScript's regular expressions with the flag `u`. Lookaround,
 * backreferences and word boundaries are rejected.
 */

import {
  ALL_CHARS,
  type CharRange,
  type CharSet,
  charsIn,
  charsOf,
  subtractChars,
} from "./code_points.ts";
import { Cursor } from "./cursor.ts";
import { quoted } from "./grammar_error.ts";
import { chars, choice, repeat, sequence, text, type Tree } from "./tree.ts";

/** How an expression is matched. */
export interface RegexOptions {
  /** Whether an expression without anchors matches anywhere in the text instead of the whole text. */
  search: boolean;
  /** Whether classes such as `[^a]` and `\s` include the newline although they do not name it. */
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

const CLASSES: Readonly<Record<string, CharSet>> = {
  d: DIGITS,
  D: subtractChars(ALL_CHARS, DIGITS),
  w: WORD,
  W: subtractChars(ALL_CHARS, WORD),
  s: SPACE,
  S: subtractChars(ALL_CHARS, SPACE),
};

/** Characters after `(?` that start an unsupported group. */
const GROUPS = /^[=!<#>iIsmxuaL-]$/;

const MAX_DEPTH = 64;

/** @throws GrammarError with the position if the expression is malformed or not supported */
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
    cursor.take("?"); // A lazy quantifier matches the same texts.
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
    return typeof found === "number"
      ? chars([[found, found]])
      : chars(this.#withNewlineRule(found, false));
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

  /** Consumes the rest of an escape after its backslash; returns a code point or a set. */
  #escape(): number | CharSet {
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

  #class(): CharSet {
    const cursor = this.#cursor;
    const negated = cursor.take("^");
    const ranges: CharRange[] = [];
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
        high = typeof member === "number" ? member : cursor.fail("a range cannot end with a class");
      }
      if (high < low) cursor.fail("the range is out of order");
      newline ||= low <= 10 && 10 <= high;
      ranges.push([low, high]);
    }
    const found = charsOf(ranges);
    return this.#withNewlineRule(
      negated ? subtractChars(ALL_CHARS, found) : found,
      newline && !negated,
    );
  }

  #member(): number | CharSet {
    const cursor = this.#cursor;
    if (!cursor.take("\\")) return cursor.next().codePointAt(0)!;
    return cursor.take("b") ? 8 : this.#escape();
  }

  #withNewlineRule(found: CharSet, named: boolean): CharSet {
    return this.#options.newlines || named ? found : subtractChars(found, NEWLINES);
  }

  #unexpected(): never {
    const char = this.#cursor.peek();
    return this.#cursor.fail(char === "" ? "unexpected end" : `unexpected ${quoted(char)}`);
  }
}
