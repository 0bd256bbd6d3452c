/**
 * Damages files deterministically by seed: flips bits, truncates, duplicates, splices in parts of
 * other files, sets numbers to boundary values, and inserts words of the format.
 */

import type { Random } from "../../support/random_data.ts";

/** The corpus and vocabulary of a format. */
export interface Material {
  /** Intact files. */
  corpus: readonly Uint8Array[];
  /** Words with a meaning in the format. */
  words: readonly string[];
  /** Maximum size of a damaged file in bytes. */
  most: number;
}

/** Boundary values of lengths, counts and offsets. */
const BOUNDARIES: readonly bigint[] = [
  ...[0n, 1n, 2n, 7n, 8n, 15n, 16n, 17n, 100n, 127n, 128n, 255n, 256n, 1023n, 1024n, 4096n],
  ...[16n, 20n, 24n, 30n, 31n, 32n, 40n, 53n, 62n, 63n, 64n].flatMap((bits) => [
    (1n << bits) - 1n,
    1n << bits,
    (1n << bits) + 1n,
  ]),
  100_000_000n,
];

/** Boundary values as text, and texts that resemble numbers. */
const NUMBERS: readonly string[] = [
  ...BOUNDARIES.map(String),
  ...["-1", "-0", "0.5", "1e308", "1e999", "-1e999", "1e-400", "NaN", "null", "true", '"1"'],
  ...["1".repeat(400), "9007199254740993", "0x10", "1_000", "[]", "{}", "[1]"],
];

/** Texts that are difficult for text parsers. */
const ODD_TEXT: readonly string[] = [
  ...['"', "'", "\\", "\\u0000", "\\ud800", "{", "}", "[", "]", ",", ":", "\n", "\r\n", " ", "\t"],
  ...["\0", "\ufeff", "\u2028", "é", "🎈", "__proto__", "constructor", "toString", "../", "/", "%"],
  ...["[".repeat(300), '{"a":'.repeat(300), "a".repeat(5000), "(".repeat(100), "😀".repeat(50)],
];

/** Returns the bytes of a word: Latin-1 if possible, otherwise UTF-8. */
function bytesOf(word: string): Uint8Array {
  const units = [...word].map((char) => char.codePointAt(0)!);
  return units.every((unit) => unit < 256)
    ? Uint8Array.from(units)
    : new TextEncoder().encode(word);
}

/** Returns a file of the corpus with one or more faults. */
export function mutated(
  { corpus, words, most }: Material,
  random: Random,
): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array = random.of(corpus);
  // Few faults, so that most files pass the first check.
  for (let faults = 1 + faultsAfterFirst(random); faults > 0; faults--) {
    bytes = damaged(bytes, { corpus, words, random });
  }
  return bytes.slice(0, most);
}

function faultsAfterFirst(random: Random): number {
  let more = 0;
  while (more < 8 && random.chance(0.4)) more++;
  return more;
}

interface Damage {
  corpus: readonly Uint8Array[];
  words: readonly string[];
  random: Random;
}

type Kind = (bytes: Uint8Array, damage: Damage) => Uint8Array;

function damaged(bytes: Uint8Array, damage: Damage): Uint8Array {
  return damage.random.of(KINDS)(bytes, damage);
}

const KINDS: readonly Kind[] = [
  function bits(bytes, { random }) {
    const result = bytes.slice();
    for (let i = 1 + random.below(4); i > 0 && result.length > 0; i--) {
      result[random.below(result.length)] ^= 1 << random.below(8);
    }
    return result;
  },
  function oneByte(bytes, { random }) {
    const result = bytes.slice();
    if (result.length > 0) result[random.below(result.length)] = random.of([0, 255, 127, 128, 46]);
    return result;
  },
  function cut(bytes, { random }) {
    return bytes.slice(0, random.below(bytes.length + 1));
  },
  function removed(bytes, { random }) {
    const [from, to] = range(bytes, random);
    return concatenate(bytes.subarray(0, from), bytes.subarray(to));
  },
  function repeated(bytes, { random }) {
    const [from, to] = range(bytes, random);
    const times = random.chance(0.1) ? 64 : 1;
    const copies = Array.from({ length: times }, () => bytes.subarray(from, to));
    return concatenate(bytes.subarray(0, to), ...copies, bytes.subarray(to));
  },
  function spliced(bytes, { corpus, random }) {
    const other = random.of(corpus);
    const [from, to] = range(other, random);
    const at = random.below(bytes.length + 1);
    const on = random.chance(0.5) ? at : Math.min(bytes.length, at + to - from);
    return concatenate(bytes.subarray(0, at), other.subarray(from, to), bytes.subarray(on));
  },
  length,
  length,
  number,
  number,
  function word(bytes, { words, random }) {
    const text = bytesOf(random.of(random.chance(0.6) && words.length > 0 ? words : ODD_TEXT));
    const at = random.below(bytes.length + 1);
    const on = random.chance(0.5) ? at : Math.min(bytes.length, at + text.length);
    return concatenate(bytes.subarray(0, at), text, bytes.subarray(on));
  },
  function token(bytes, { words, random }) {
    // Replaces one token of a text by a word of the format.
    const found = tokens(bytes);
    if (found.length === 0 || words.length === 0) return bytes;
    const { from, to } = random.of(found);
    return concatenate(bytes.subarray(0, from), bytesOf(random.of(words)), bytes.subarray(to));
  },
];

/** Sets an integer of two, four or eight bytes to a boundary value, or changes it slightly. */
function length(bytes: Uint8Array, { random }: Damage): Uint8Array {
  const size = random.of([2, 4, 4, 8]);
  if (bytes.length < size) return bytes;
  const result = bytes.slice();
  const view = new DataView(result.buffer);
  const at = random.below(bytes.length - size + 1);
  const little = random.chance(0.9);
  const old = size === 8
    ? view.getBigUint64(at, little)
    : BigInt(size === 4 ? view.getUint32(at, little) : view.getUint16(at, little));
  const value = random.chance(0.3)
    ? old + BigInt(random.below(5) - 2)
    : random.chance(0.2)
    ? BigInt(bytes.length + random.below(5) - 2)
    : random.of(BOUNDARIES);
  if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, value), little);
  else if (size === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), little);
  else view.setUint16(at, Number(BigInt.asUintN(16, value)), little);
  return result;
}

/** Replaces a number in text. */
function number(bytes: Uint8Array, { random }: Damage): Uint8Array {
  const found = digits(bytes, random);
  if (found === null) return bytes;
  const old = new TextDecoder().decode(bytes.subarray(found.from, found.to));
  const value = random.chance(0.3) && old.length < 16
    ? String(Number(old) + random.below(5) - 2)
    : random.of(NUMBERS);
  return concatenate(bytes.subarray(0, found.from), bytesOf(value), bytes.subarray(found.to));
}

interface Found {
  from: number;
  to: number;
}

/** Finds the first digits after a random position. */
function digits(bytes: Uint8Array, random: Random): Found | null {
  const isDigit = (at: number) => bytes[at] >= 0x30 && bytes[at] <= 0x39;
  let from = random.below(bytes.length + 1);
  while (from < bytes.length && !isDigit(from)) from++;
  while (from > 0 && isDigit(from - 1)) from--;
  let to = from;
  while (to < bytes.length && isDigit(to)) to++;
  return to > from ? { from, to } : null;
}

/** Finds the names, numbers and punctuation marks of a text. */
function tokens(bytes: Uint8Array): Found[] {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 65_536));
  return [...text.matchAll(/[\w.-]+|[^\w\s]/g)].map(({ index, 0: { length } }) => ({
    from: index,
    to: index + length,
  }));
}

/** Returns a random range of a file, usually a small one. */
function range(bytes: Uint8Array, random: Random): [from: number, to: number] {
  const from = random.below(bytes.length + 1);
  const most = random.chance(0.7) ? Math.min(64, bytes.length - from) : bytes.length - from;
  return [from, from + random.below(most + 1)];
}

function concatenate(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
