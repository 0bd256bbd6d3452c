/** JSON as this project lets models write it: on one line, with a space after `:` and `,` or none. */

import {
  ALL_CHARS,
  type Chars,
  charsIn,
  charsOf,
  countChars,
  hasChar,
  subtractChars,
} from "../code_points.ts";
import { chars, choice, oneOf, optional, repeat, sequence, text, type Tree } from "../tree.ts";
import { groupBy } from "../../core/group_by.ts";

/** Digits before the point, and after it: any decimal of so many is a number of its own in JSON. */
export const MAX_DIGITS = 15;

const DIGIT = chars(charsOf([[0x30, 0x39]]));
const CONTROLS = charsOf([[0, 0x1f]]);
const MARKS = charsIn('"\\');
const ASCII = charsOf([[0, 0x7f]]);
const NOT_ASCII = subtractChars(ALL_CHARS, ASCII);
const PLAIN = subtractChars(subtractChars(ALL_CHARS, CONTROLS), MARKS);

/** What must be escaped. */
const SPECIAL = [...CONTROLS, ...MARKS].flatMap(([low, high]) =>
  Array.from({ length: high - low + 1 }, (_, i) => low + i)
);

const HEX = chars(charsIn("0123456789abcdefABCDEF"));

/** Any character but a surrogate's half. */
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

/** A character of a string, in any of its ways. */
export const STRING_CHAR = choice(chars(PLAIN), ESCAPED);

/** Parts of sets that most have are one tree. */
const NOT_ASCII_CHAR = chars(NOT_ASCII);
const SPECIAL_CHAR = escapes(SPECIAL);

const known = new WeakMap<Chars, Tree>();

/** A character of a set as a string has it, in one way each. */
export function stringChars(set: Chars): Tree {
  const found = known.get(set) ?? makeStringChars(set);
  known.set(set, found);
  return found;
}

function makeStringChars(set: Chars): Tree {
  const special = SPECIAL.filter((char) => hasChar(set, char));
  const ascii = subtractChars(subtractChars(subtractChars(set, CONTROLS), MARKS), NOT_ASCII);
  const others = subtractChars(set, ASCII);
  return choice(
    ...ascii.length > 0 ? [chars(ascii)] : [],
    ...others.length > 0 ? [isAll(others) ? NOT_ASCII_CHAR : chars(others)] : [],
    ...special.length === 0
      ? []
      : [special.length === SPECIAL.length ? SPECIAL_CHAR : escapes(special)],
  );
}

function isAll(others: Chars): boolean {
  return countChars(others) === countChars(NOT_ASCII);
}

function escapes(special: readonly number[]): Tree {
  return oneOf(special.map((char) => JSON.stringify(String.fromCodePoint(char)).slice(1, -1)));
}

/** The same tree, of texts as strings have them. */
export function asString(tree: Tree): Tree {
  switch (tree.type) {
    case "chars":
      return stringChars(tree.chars);
    case "text":
      return text(JSON.stringify(tree.text).slice(1, -1));
    case "sequence":
      return { type: "sequence", parts: tree.parts.map(asString) };
    case "choice":
      return { type: "choice", options: tree.options.map(asString) };
    case "repeat":
      return repeat(asString(tree.part), tree.min, tree.max);
    case "rule":
      return tree;
  }
}

export function stringOf(content: Tree): Tree {
  return sequence(text('"'), content, text('"'));
}

export const STRING = stringOf(repeat(STRING_CHAR, 0, Infinity));

const SPACE = optional(text(" "));
export const COMMA = sequence(text(","), SPACE);
export const COLON = sequence(text(":"), SPACE);

const WHOLE = choice(text("0"), sequence(chars(charsIn("123456789")), digits(0, MAX_DIGITS - 1)));

export const INTEGER = choice(
  text("0"),
  sequence(optional(text("-")), chars(charsIn("123456789")), digits(0, MAX_DIGITS - 1)),
);

/** With an exponent that leaves it finite. */
export const NUMBER = sequence(
  optional(text("-")),
  WHOLE,
  optional(sequence(text("."), digits(1, MAX_DIGITS))),
  optional(sequence(chars(charsIn("eE")), optional(chars(charsIn("+-"))), digits(1, 2))),
);

export function digits(min: number, max: number): Tree {
  return repeat(DIGIT, min, max);
}

/** Several of `item`, with commas between. */
export function list(item: Tree, min: number, max: number): Tree {
  if (max === 0) return sequence();
  const more = sequence(item, repeat(sequence(COMMA, item), Math.max(0, min - 1), max - 1));
  return min === 0 ? optional(more) : more;
}

/** One of these values, as short as it can be written. */
export function oneOfValues(values: readonly unknown[]): Tree {
  return oneOf(values.map((value) => JSON.stringify(value)));
}

/** A string that is none of `names`, in one way only, so that no name can be hidden in escapes. */
export function otherName(names: readonly string[]): Tree {
  return stringOf(notOneOf(names.map((name) => [...name.toWellFormed()])));
}

function notOneOf(names: readonly string[][]): Tree {
  const anything = repeat(stringChars(ALL_CHARS), 0, Infinity);
  if (names.length === 0) return anything;
  const led = groupBy(names.filter(({ length }) => length > 0), ([first]) => first);
  const others = subtractChars(ALL_CHARS, charsIn([...led.keys()].join("")));
  const longer = [
    sequence(stringChars(others), anything),
    ...[...led].map(([first, rest]) =>
      sequence(asString(text(first)), notOneOf(rest.map((name) => name.slice(1))))
    ),
  ];
  return names.some(({ length }) => length === 0)
    ? choice(...longer)
    : choice(sequence(), ...longer);
}
