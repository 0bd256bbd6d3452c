/** Parses EBNF grammars in the syntax of xgrammar and llama.cpp (GBNF). */

import { ALL_CHARS, type CharRange, charsIn, charsOf, subtractChars } from "./code_points.ts";
import { Cursor } from "./cursor.ts";
import { GrammarError, quoted } from "./grammar_error.ts";
import {
  chars,
  choice,
  type Grammar,
  oneOf,
  optional,
  repeat,
  sequence,
  text,
  type Tree,
} from "./tree.ts";

/** A parsed grammar with its rule names. */
export interface EbnfGrammar extends Grammar {
  /** Names of the rules, by index. */
  ruleNames: readonly string[];
}

const ROOT = "root";
const NAME_START = /^[A-Za-z_]$/;
const NAME = /^[A-Za-z0-9_.-]$/;
const MAX_DEPTH = 64;
const MAX_RULES = 1000;

/**
 * Parses a grammar whose root rule is `root`.
 *
 * @throws GrammarError with the position if the grammar is malformed or not supported
 */
export function parseEbnf(ebnf: string): EbnfGrammar {
  return new Parser(ebnf).grammar();
}

class Parser {
  readonly #cursor: Cursor;
  /** Rules by name, in order of first reference. A rule that is not yet defined has no tree. */
  readonly #rules = new Map<string, { index: number; tree: Tree | null; place: string }>();
  #depth = 0;

  constructor(ebnf: string) {
    this.#cursor = new Cursor(ebnf);
  }

  grammar(): EbnfGrammar {
    this.#space();
    while (!this.#cursor.done) this.#definition();
    for (const [name, { tree, place }] of this.#rules) {
      if (tree === null) {
        throw new GrammarError(`${place}: the rule ${quoted(name)} is not defined`);
      }
    }
    const root = this.#rules.get(ROOT);
    if (!root) throw new GrammarError(`the rule ${quoted(ROOT)} is not defined`);
    const rules = [...this.#rules.values()].map(({ tree }) => tree!);
    return { root: { type: "rule", rule: root.index }, rules, ruleNames: [...this.#rules.keys()] };
  }

  #definition(): void {
    const place = this.#cursor.place();
    const name = this.#name();
    this.#cursor.expect("::=");
    this.#space();
    const rule = this.#rule(name, place);
    if (rule.tree !== null) {
      throw new GrammarError(`${place}: the rule ${quoted(name)} is defined twice`);
    }
    rule.tree = this.#choice();
    if (!this.#cursor.done && !this.#atDefinition()) this.#unexpected();
  }

  #rule(name: string, place: string) {
    const known = this.#rules.get(name);
    if (known) return known;
    const rule = { index: this.#rules.size, tree: null, place };
    if (rule.index === MAX_RULES) this.#cursor.fail(`more than ${MAX_RULES} rules`);
    this.#rules.set(name, rule);
    return this.#rules.get(name)!;
  }

  #choice(): Tree {
    const options: Tree[] = [];
    do {
      this.#space();
      options.push(this.#sequence());
    } while (this.#cursor.take("|"));
    const texts = options.flatMap((option) => option.type === "text" ? option.text : []);
    if (texts.length < 2) return choice(...options);
    return choice(oneOf(texts), ...options.filter(({ type }) => type !== "text"));
  }

  #sequence(): Tree {
    const parts: Tree[] = [];
    while (this.#atPart()) parts.push(this.#quantified(this.#part()));
    return sequence(...parts);
  }

  #atPart(): boolean {
    const next = this.#cursor.peek();
    return next !== "" && !/^[|)]$/.test(next) && !this.#atDefinition();
  }

  #quantified(part: Tree): Tree {
    const cursor = this.#cursor;
    this.#space();
    let found = part;
    if (cursor.take("*")) found = repeat(part, 0, Infinity);
    else if (cursor.take("+")) found = repeat(part, 1, Infinity);
    else if (cursor.take("?")) found = optional(part);
    else if (cursor.take("{")) found = repeat(part, ...cursor.bounds());
    this.#space();
    return found;
  }

  #part(): Tree {
    const cursor = this.#cursor;
    if (cursor.take('"')) return text(this.#text());
    if (cursor.take("[")) return this.#class();
    if (cursor.take("(")) return this.#group();
    const place = cursor.place();
    const name = this.#name();
    if (name === "TagDispatch") cursor.fail("TagDispatch is not supported");
    return { type: "rule", rule: this.#rule(name, place).index };
  }

  #group(): Tree {
    const cursor = this.#cursor;
    if (cursor.peek() === "=") cursor.fail("lookahead assertions, (= …), are not supported");
    if (++this.#depth > MAX_DEPTH) cursor.fail(`groups are nested more than ${MAX_DEPTH} deep`);
    const inner = this.#choice();
    this.#depth--;
    cursor.expect(")");
    return inner;
  }

  /** Consumes the rest of a literal after its opening quotation mark. */
  #text(): string {
    const cursor = this.#cursor;
    let found = "";
    while (!cursor.take('"')) {
      if (/^[\r\n]$/.test(cursor.peek())) cursor.fail("unterminated literal");
      found += String.fromCodePoint(this.#char());
    }
    return found;
  }

  /** Consumes the rest of a class after its opening bracket. A negated class excludes the newline. */
  #class(): Tree {
    const cursor = this.#cursor;
    const negated = cursor.take("^");
    const ranges: CharRange[] = [];
    while (!cursor.take("]")) {
      const low = this.#char();
      const ranged = cursor.peek() === "-" && cursor.peek(1) !== "]";
      if (ranged) cursor.next();
      const high = ranged ? this.#char() : low;
      if (high < low) cursor.fail("the range is out of order");
      ranges.push([low, high]);
    }
    const found = charsOf(ranges);
    return chars(negated ? subtractChars(subtractChars(ALL_CHARS, found), charsIn("\n")) : found);
  }

  #char(): number {
    const cursor = this.#cursor;
    if (!cursor.take("\\")) return cursor.next().codePointAt(0)!;
    const letter = cursor.next();
    const found = cursor.escaped(letter);
    if (found !== null) return found;
    if (/^[0-9a-zA-Z]$/.test(letter)) cursor.fail(`\\${letter} is not supported`);
    return letter.codePointAt(0)!;
  }

  #name(): string {
    if (!NAME_START.test(this.#cursor.peek())) this.#unexpected();
    const name = this.#cursor.takeWhile(NAME);
    this.#space();
    return name;
  }

  /** Returns whether a name and `::=` are next. */
  #atDefinition(): boolean {
    if (!NAME_START.test(this.#cursor.peek())) return false;
    let ahead = 1;
    while (NAME.test(this.#cursor.peek(ahead))) ahead++;
    while (/^\s$/.test(this.#cursor.peek(ahead))) ahead++;
    return [..."::="].every((char, i) => this.#cursor.peek(ahead + i) === char);
  }

  /** Consumes whitespace and comments. */
  #space(): void {
    do this.#cursor.takeWhile(/^\s$/); while (this.#cursor.take("#") && this.#comment());
  }

  #comment(): boolean {
    this.#cursor.takeWhile(/^[^\n]$/u);
    return true;
  }

  #unexpected(): never {
    const char = this.#cursor.peek();
    return this.#cursor.fail(char === "" ? "unexpected end" : `unexpected ${quoted(char)}`);
  }
}
