/** Numbers between bounds, digit by digit. */

import { charsOf, type Range } from "../code_points.ts";
import { chars, choice, optional, sequence, text, type Tree } from "../tree.ts";
import { digits, INTEGER, MAX_DIGITS, NUMBER } from "./json_text.ts";
import { number, refuse, type Schema } from "./schema_reader.ts";

const BOUNDS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] as const;

type Bounds = Record<typeof BOUNDS[number], number | undefined>;

/** The largest absolute value that is written. */
const LIMIT = 10 ** MAX_DIGITS - 1;

/**
 * Numbers within bounds. Near a bound they have at most 15 digits: one that differs from the bound
 * in its digits then differs from it when it is read, too.
 *
 * @throws Refusal for what can't be held
 */
export function numberBy(schema: Schema, whole: boolean): Tree {
  const multipleOf = number(schema, "multipleOf");
  if (multipleOf !== undefined && !(whole && multipleOf === 1)) {
    refuse(schema, 'the keyword "multipleOf" is not supported');
  }
  const bounds = Object.fromEntries(BOUNDS.map((name) => [name, number(schema, name)])) as Bounds;
  const given = Object.values(bounds).filter((bound) => bound !== undefined);
  if (given.length === 0) return whole ? INTEGER : NUMBER;
  const widths = given.map(Math.abs).filter((bound) => bound <= LIMIT).map(wholeDigits);
  const places = whole ? 0 : MAX_DIGITS - Math.max(1, ...widths);
  const { low, high } = scaled(bounds, places);
  const between = (from: bigint, to: bigint) => positive({ low: from, high: to, places });
  const options = [
    ...high >= 0n ? between(low > 0n ? low : 0n, high) : [],
    ...low < 0n
      ? between(high < 0n ? -high : 1n, -low).map((option) => sequence(text("-"), option))
      : [],
  ];
  if (options.length > 0) return choice(...options);
  return refuse(schema, "no number that can be written is within its bounds");
}

function wholeDigits(bound: number): number {
  return String(Math.trunc(bound)).length;
}

/** The numbers within bounds, in units of the last of `places`. */
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

/** A number in units of the last of `places`, rounded down and up. */
function units(value: number, places: number): { down: bigint; up: bigint } {
  const [, sign, whole, fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/
    .exec(String(value))!;
  const digits = BigInt(`${sign}${whole}${fraction}`);
  const shift = places + Number(exponent) - fraction.length;
  if (shift >= 0) return both(digits * 10n ** BigInt(shift));
  const unit = 10n ** BigInt(-shift);
  const towardsZero = digits / unit;
  if (digits % unit === 0n) return both(towardsZero);
  return digits < 0n
    ? { down: towardsZero - 1n, up: towardsZero }
    : { down: towardsZero, up: towardsZero + 1n };
}

function both(value: bigint): { down: bigint; up: bigint } {
  return { down: value, up: value };
}

interface Span {
  low: bigint;
  high: bigint;
  places: number;
}

/** Numbers from `low`, 0 or more, to `high`, by how many digits they have before the point. */
function positive(span: Span): Tree[] {
  const options: Tree[] = [];
  for (let width = 1; width <= MAX_DIGITS; width++) {
    const first = { value: 0n, left: width + span.places, fresh: width > 1 };
    const found = rest(first, span);
    if (found !== null) options.push(found);
  }
  return options;
}

/** Digits written so far. */
interface Written {
  /** What they amount to if only zeros follow. */
  value: bigint;
  /** Digits that may follow, those after the point included. */
  left: number;
  /** Whether the first digit is to come, and may not be 0. */
  fresh?: boolean;
  /** Whether the point has just been written. */
  point?: boolean;
}

/** What may follow, `null` if nothing can. */
function rest({ value, left, fresh = false, point = false }: Written, span: Span): Tree | null {
  const { low, high, places } = span;
  const largest = value + 10n ** BigInt(left) - 1n;
  if (largest < low || value > high) return null;
  const within = value >= low && value <= high;
  const atPoint = left === places && !point;
  const mayEnd = left <= places && !point && within;
  if (!fresh && value >= low && largest <= high) return anyDigits(left, places, point);
  if (left === 0) return sequence();
  if (atPoint) {
    const fraction = rest({ value, left, point: true }, span);
    const more = fraction && sequence(text("."), fraction);
    return more === null ? (mayEnd ? sequence() : null) : mayEnd ? optional(more) : more;
  }
  const unit = 10n ** BigInt(left - 1);
  const options: Tree[] = mayEnd ? [sequence()] : [];
  /** Digits after which anything may come: they share that. */
  const free: Range[] = [];
  for (let digit = fresh ? 1 : 0; digit <= 9; digit++) {
    const next = value + BigInt(digit) * unit;
    if (next >= low && next + unit - 1n <= high) {
      free.push([0x30 + digit, 0x30 + digit]);
      continue;
    }
    const tail = rest({ value: next, left: left - 1 }, span);
    if (tail !== null) options.push(sequence(text(`${digit}`), tail));
  }
  if (free.length > 0) {
    options.push(sequence(chars(charsOf(free)), anyDigits(left - 1, places, false)));
  }
  return options.length === 0 ? null : choice(...options);
}

/** `left` digits of which all but `places` must be there. */
function anyDigits(left: number, places: number, point: boolean): Tree {
  if (left <= places && (left < places || point)) return digits(point ? 1 : 0, left);
  const fraction = places === 0 ? sequence() : optional(sequence(text("."), digits(1, places)));
  return sequence(digits(left - places, left - places), fraction);
}
