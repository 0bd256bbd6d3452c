/** Trees for numbers within bounds, digit by digit. */

import { type CharRange, charsOf } from "../code_points.ts";
import { chars, choice, optional, sequence, text, type Tree } from "../tree.ts";
import { digits, INTEGER, MAX_DIGITS, NUMBER } from "./json_text.ts";
import { readNumber, rejectSchema, type Schema } from "./schema_reader.ts";

const BOUNDS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] as const;

type Bounds = Record<typeof BOUNDS[number], number | undefined>;

/** Largest absolute value that is generated. */
const LIMIT = 10 ** MAX_DIGITS - 1;

/**
 * Builds the tree of numbers within the schema's bounds. Numbers have at most 15 digits, so that two
 * numbers with different digits are different float64 values.
 *
 * @throws GrammarError if the schema is malformed or not supported
 */
export function numberFromSchema(schema: Schema, whole: boolean): Tree {
  const multipleOf = readNumber(schema, "multipleOf");
  if (multipleOf !== undefined && !(whole && multipleOf === 1)) {
    rejectSchema(schema, 'the keyword "multipleOf" is not supported');
  }
  const bounds = Object.fromEntries(
    BOUNDS.map((name) => [name, readNumber(schema, name)]),
  ) as Bounds;
  const setBounds = Object.values(bounds).filter((bound) => bound !== undefined);
  if (setBounds.length === 0) return whole ? INTEGER : NUMBER;
  const widths = setBounds.map(Math.abs).filter((bound) => bound <= LIMIT).map(wholeDigits);
  const places = whole ? 0 : MAX_DIGITS - Math.max(1, ...widths);
  const { low, high } = scaled(bounds, places);
  const between = (from: bigint, to: bigint) => nonNegative({ low: from, high: to, places });
  const options = [
    ...high >= 0n ? between(low > 0n ? low : 0n, high) : [],
    ...low < 0n
      ? between(high < 0n ? -high : 1n, -low).map((option) => sequence(text("-"), option))
      : [],
  ];
  if (options.length > 0) return choice(...options);
  return rejectSchema(schema, "no number that can be generated is within the bounds");
}

function wholeDigits(bound: number): number {
  return String(Math.trunc(bound)).length;
}

/** Returns the bounds as integers, in units of the last decimal place. */
function scaled(bounds: Bounds, places: number): { low: bigint; high: bigint } {
  const limit = 10n ** BigInt(MAX_DIGITS + places) - 1n;
  const lows = [-limit];
  const highs = [limit];
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = bounds;
  if (minimum !== undefined) lows.push(units(minimum, places).up);
  if (exclusiveMinimum !== undefined) lows.push(units(exclusiveMinimum, places).down + 1n);
  if (maximum !== undefined) highs.push(units(maximum, places).down);
  if (exclusiveMaximum !== undefined) highs.push(units(exclusiveMaximum, places).up - 1n);
  return {
    low: lows.reduce((a, b) => a > b ? a : b),
    high: highs.reduce((a, b) => a < b ? a : b),
  };
}

/** Returns a number in units of the last decimal place, rounded down and up. */
function units(value: number, places: number): { down: bigint; up: bigint } {
  const [, sign, whole, fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/
    .exec(String(value))!;
  const digits = BigInt(`${sign}${whole}${fraction}`);
  const shift = places + Number(exponent) - fraction.length;
  if (shift >= 0) return exact(digits * 10n ** BigInt(shift));
  const unit = 10n ** BigInt(-shift);
  const towardsZero = digits / unit;
  if (digits % unit === 0n) return exact(towardsZero);
  return digits < 0n
    ? { down: towardsZero - 1n, up: towardsZero }
    : { down: towardsZero, up: towardsZero + 1n };
}

function exact(value: bigint): { down: bigint; up: bigint } {
  return { down: value, up: value };
}

/** Bounds in units of the last decimal place. */
interface Span {
  low: bigint;
  high: bigint;
  places: number;
}

/** Returns the trees of the numbers from `low` (0 or more) to `high`, one per count of integer digits. */
function nonNegative(span: Span): Tree[] {
  const options: Tree[] = [];
  for (let width = 1; width <= MAX_DIGITS; width++) {
    const first = { value: 0n, remaining: width + span.places, leading: width > 1 };
    const found = continuation(first, span);
    if (found !== null) options.push(found);
  }
  return options;
}

/** The digits generated so far. */
interface Prefix {
  /** Their value if only zeros follow. */
  value: bigint;
  /** Digits that may follow, including those after the point. */
  remaining: number;
  /** Whether the next digit is the first and must not be 0. */
  leading?: boolean;
  /** Whether the last character is the decimal point. */
  afterPoint?: boolean;
}

/** Returns the tree of what may follow a prefix, or `null` if no number fits. */
function continuation(
  { value, remaining, leading = false, afterPoint = false }: Prefix,
  span: Span,
): Tree | null {
  const { low, high, places } = span;
  const largest = value + 10n ** BigInt(remaining) - 1n;
  if (largest < low || value > high) return null;
  const within = value >= low && value <= high;
  const atPoint = remaining === places && !afterPoint;
  const mayEnd = remaining <= places && !afterPoint && within;
  if (!leading && value >= low && largest <= high) return anyDigits(remaining, places, afterPoint);
  if (remaining === 0) return sequence();
  if (atPoint) {
    const fraction = continuation({ value, remaining, afterPoint: true }, span);
    const more = fraction && sequence(text("."), fraction);
    return more === null ? (mayEnd ? sequence() : null) : mayEnd ? optional(more) : more;
  }
  const unit = 10n ** BigInt(remaining - 1);
  const options: Tree[] = mayEnd ? [sequence()] : [];
  // Digits after which all digits are allowed; they share one continuation.
  const free: CharRange[] = [];
  for (let digit = leading ? 1 : 0; digit <= 9; digit++) {
    const next = value + BigInt(digit) * unit;
    if (next >= low && next + unit - 1n <= high) {
      free.push([0x30 + digit, 0x30 + digit]);
      continue;
    }
    const tail = continuation({ value: next, remaining: remaining - 1 }, span);
    if (tail !== null) options.push(sequence(text(`${digit}`), tail));
  }
  if (free.length > 0) {
    options.push(sequence(chars(charsOf(free)), anyDigits(remaining - 1, places, false)));
  }
  return options.length === 0 ? null : choice(...options);
}

/** Returns the tree of up to `remaining` digits, the last `places` of which are optional decimals. */
function anyDigits(remaining: number, places: number, afterPoint: boolean): Tree {
  if (remaining <= places && (remaining < places || afterPoint)) {
    return digits(afterPoint ? 1 : 0, remaining);
  }
  const fraction = places === 0 ? sequence() : optional(sequence(text("."), digits(1, places)));
  return sequence(digits(remaining - places, remaining - places), fraction);
}
