/** Trees for generated JSON: on one line, with an optional space after `:` and `,`. */

import {
  ALL_CHARS,
  type CharSet,
  charsIn,
  charsOf,
  countChars,
  hasChar,
  subtractChars,
} from "../code_points.ts";
import { chars, choice, oneOf, optional, repeat, sequence, text, type Tree } from "../tree.ts";
import { groupBy } from "../../core/group_by.ts";

/** Maximum digits before and after the point; float64 distinguishes all decimals of 15 digits. */
export const MAX_DIGITS = 15;

const DIGIT = chars(charsOf([[0x30, 0x39]]));
const CONTROLS = charsOf([[0, 0x1f]]);
const MARKS = charsIn('"\\');
const ASCII = charsOf([[0, 0x7f]]);
const NOT_ASCII = subtractChars(ALL_CHARS, ASCII);
const PLAIN = subtractChars(subtractChars(ALL_CHARS, CONTROLS), MARKS);

/** Code points that must be escaped in a string. */
const MUST_ESCAPE = [...CONTROLS, ...MARKS].flatMap(([low, high]) =>
  Array.from({ length: high - low + 1 }, (_, i) => low + i)
);

const HEX = chars(charsIn("0123456789abcdefABCDEF"));

/** Any escape sequence, except those of unpaired surrogates. */
const ESCAPED = choice(
  oneOf([...'"\\/bfnrt'].map((letter) => `\\${letter}`)),
  sequence(
    text("\\u"),
    choice(
      sequence(chars(charsIn("0123456789abcefABCEF")), HEX),
      sequence(chars(charsIn("dD")), chars(charsIn("01234567"))),
    ),
    HEX,
    HEX,
  ),
);

/** Any character of a string, plain or escaped. */
export const STRING_CHAR = choice(chars(PLAIN), ESCAPED);

/** Trees that most character sets share. */
const NOT_ASCII_CHAR = chars(NOT_ASCII);
const ESCAPED_CHAR = escapes(MUST_ESCAPE);

const cache = new WeakMap<CharSet, Tree>();

/** Returns the tree of a character set inside a string, with one spelling per character. */
export function stringChars(set: CharSet): Tree {
  const found = cache.get(set) ?? buildStringChars(set);
  cache.set(set, found);
  return found;
}

function buildStringChars(set: CharSet): Tree {
  const special = MUST_ESCAPE.filter((char) => hasChar(set, char));
  const ascii = subtractChars(subtractChars(subtractChars(set, CONTROLS), MARKS), NOT_ASCII);
  const others = subtractChars(set, ASCII);
  return choice(
    ...ascii.length > 0 ? [chars(ascii)] : [],
    ...others.length > 0 ? [isAll(others) ? NOT_ASCII_CHAR : chars(others)] : [],
    ...special.length === 0
      ? []
      : [special.length === MUST_ESCAPE.length ? ESCAPED_CHAR : escapes(special)],
  );
}

function isAll(others: CharSet): boolean {
  return countChars(others) === countChars(NOT_ASCII);
}

function escapes(special: readonly number[]): Tree {
  return oneOf(special.map((char) => JSON.stringify(String.fromCodePoint(char)).slice(1, -1)));
}

/** Returns the tree of the same texts as they are written inside a string. */
export function escapeForJson(tree: Tree): Tree {
  switch (tree.type) {
    case "chars":
      return stringChars(tree.chars);
    case "text":
      return text(JSON.stringify(tree.text).slice(1, -1));
    case "sequence":
      return { type: "sequence", parts: tree.parts.map(escapeForJson) };
    case "choice":
      return { type: "choice", options: tree.options.map(escapeForJson) };
    case "repeat":
      return repeat(escapeForJson(tree.part), tree.min, tree.max);
    case "rule":
      return tree;
  }
}

/** Puts quotation marks around the content of a string. */
export function quotedString(content: Tree): Tree {
  return sequence(text('"'), content, text('"'));
}

/** Any string. */
export const STRING = quotedString(repeat(STRING_CHAR, 0, Infinity));

const SPACE = optional(text(" "));
export const COMMA = sequence(text(","), SPACE);
export const COLON = sequence(text(":"), SPACE);

const WHOLE = choice(text("0"), sequence(chars(charsIn("123456789")), digits(0, MAX_DIGITS - 1)));

export const INTEGER = choice(
  text("0"),
  sequence(optional(text("-")), chars(charsIn("123456789")), digits(0, MAX_DIGITS - 1)),
);

/** A number with an exponent of at most two digits, so that it is finite. */
export const NUMBER = sequence(
  optional(text("-")),
  WHOLE,
  optional(sequence(text("."), digits(1, MAX_DIGITS))),
  optional(sequence(chars(charsIn("eE")), optional(chars(charsIn("+-"))), digits(1, 2))),
);

/** Returns the tree of `min` to `max` digits. */
export function digits(min: number, max: number): Tree {
  return repeat(DIGIT, min, max);
}

/** Returns the tree of `min` to `max` items with commas between them. */
export function commaSeparated(item: Tree, min: number, max: number): Tree {
  if (max === 0) return sequence();
  const more = sequence(item, repeat(sequence(COMMA, item), Math.max(0, min - 1), max - 1));
  return min === 0 ? optional(more) : more;
}

/** Returns the tree of a choice of JSON values in their shortest form. */
export function oneOfValues(values: readonly unknown[]): Tree {
  return oneOf(values.map((value) => JSON.stringify(value)));
}

/** Returns the tree of a string that is none of `names`. Each text has one spelling, so escapes cannot hide a name. */
export function anyNameExcept(names: readonly string[]): Tree {
  return quotedString(notOneOf(names.map((name) => [...name.toWellFormed()])));
}

function notOneOf(names: readonly string[][]): Tree {
  const anything = repeat(stringChars(ALL_CHARS), 0, Infinity);
  if (names.length === 0) return anything;
  const byFirst = groupBy(names.filter(({ length }) => length > 0), ([first]) => first);
  const others = subtractChars(ALL_CHARS, charsIn([...byFirst.keys()].join("")));
  const longer = [
    sequence(stringChars(others), anything),
    ...[...byFirst].map(([first, rest]) =>
      sequence(escapeForJson(text(first)), notOneOf(rest.map((name) => name.slice(1))))
    ),
  ];
  return names.some(({ length }) => length === 0)
    ? choice(...longer)
    : choice(sequence(), ...longer);
}
