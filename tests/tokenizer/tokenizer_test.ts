import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { InferenceError } from "../../src/core/errors.ts";
import { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import {
  BYTE_VOCABULARY,
  parseVocabulary,
  type Vocabulary,
} from "../../src/tokenizer/vocabulary.ts";
import golden from "../golden/tokens.json" with { type: "json" };

const at = (path: string) => new URL(`../../${path}`, import.meta.url);
const WORLD = at("../shared/vocab/rwkv_vocab_v20230424.txt");

/** The World vocabulary if available, the demo's, and two small ones. */
const vocabularies: Vocabulary[] = [
  BYTE_VOCABULARY,
  parseVocabulary(smallVocabulary(), "small"),
  ...[WORLD, at("models/demo/vocab.txt")].filter((url) => existsSync(url))
    .map((url) => parseVocabulary(Deno.readTextFileSync(url), url.pathname)),
];

/** All bytes, and nested and overlapping tokens over a few of them. */
function smallVocabulary(): string {
  const hex = (byte: number) => `\\x${byte.toString(16).padStart(2, "0")}`;
  const pieces = ["aa", "aaa", "aaaaaaaa", "ab", "abcabcd", "bc", "é", "世界", "\n\n", "😀😀", "  "]
    .map((text) => [...new TextEncoder().encode(text)]);
  pieces.push([0xe4, 0xb8], [0xff, 0xff], [0, 0, 0]);
  for (let byte = 255; byte >= 0; byte--) pieces.push([byte]);
  return pieces.map((bytes, i) => `${3 * i + 1} b'${bytes.map(hex).join("")}' ${bytes.length}`)
    .join("\n");
}

/** Reference for greedy longest match: looks up every length in a map, longest first. */
function slowEncode({ tokens }: Vocabulary, bytes: Uint8Array): number[] {
  const ids = new Map([...tokens].map(([id, token]) => [String.fromCharCode(...token), id]));
  const longest = Math.max(...[...tokens.values()].map(({ length }) => length));
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const result: number[] = [];
  for (let start = 0; start < text.length;) {
    let length = longest;
    while (!ids.has(text.slice(start, start + length))) length--;
    const id = ids.get(text.slice(start, start + length))!;
    result.push(id);
    start += tokens.get(id)!.length;
  }
  return result;
}

/** Texts of many scripts, repetitions, code, and bytes that are not UTF-8. */
function mixedBytes(random: () => number): Uint8Array {
  const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)];
  const pieces = [
    "a",
    "b",
    "c",
    "abcabc",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "é",
    "世",
    "界",
    "😀",
    "👩‍👩‍👧",
  ];
  pieces.push(
    "User:",
    "Assistant:",
    " the",
    "0123",
    "def f(x):\n    return",
    "Привет",
    "\0",
    "<|",
    "--",
  );
  const bytes: number[] = [];
  for (let i = Math.floor(random() * 60); i >= 0; i--) {
    const choice = random();
    if (choice < 0.2) bytes.push(Math.floor(random() * 256));
    else if (choice < 0.3) {
      const code = Math.floor(random() * 0x10ffff);
      bytes.push(...new TextEncoder().encode(String.fromCodePoint(code)));
    } else bytes.push(...new TextEncoder().encode(pick(pieces).repeat(pick([1, 1, 1, 2, 9]))));
  }
  return Uint8Array.from(bytes);
}

/** Returns a seeded generator of numbers in [0, 1). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

for (const vocabulary of vocabularies) {
  const label = vocabulary.name.split("/").at(-1);
  const tokenizer = new Tokenizer(vocabulary);

  Deno.test(`${label}: encoding takes the longest matches and decodes to the same bytes`, () => {
    const random = seeded(vocabulary.tokens.size);
    const samples = Array.from({ length: 60 }, () => mixedBytes(random));
    // One slow pass over all samples, each of which starts a new match.
    const all = samples.map((bytes) => tokenizer.encodeBytes(bytes));
    samples.forEach((bytes, i) => assert.deepEqual(tokenizer.decode(all[i]), bytes));
    const joined = Uint8Array.from(samples.flatMap((bytes) => [...bytes]));
    assert.deepEqual(tokenizer.encodeBytes(joined), slowEncode(vocabulary, joined));
  });

  Deno.test(`${label}: encoding stops after the limit`, () => {
    const text = "The quick brown fox jumps over the lazy dog. ".repeat(20);
    const all = tokenizer.encode(text);
    assert.deepEqual(tokenizer.encode(text, all.length), all);
    for (const most of [0, 1, 7, all.length - 1]) {
      assert.deepEqual(tokenizer.encode(text, most), all.slice(0, most + 1));
    }
  });

  Deno.test(`${label}: every token is found by id and by bytes`, () => {
    for (const [id, bytes] of vocabulary.tokens) {
      assert.deepEqual(tokenizer.tokenBytes(id), bytes);
      assert.deepEqual(tokenizer.encodeBytes(bytes), [id]);
    }
    assert.equal(tokenizer.size, Math.max(...vocabulary.tokens.keys()) + 1);
    assert.equal(tokenizer.endOfText, vocabulary.endOfText);
  });
}

// The World vocabulary is not part of the project. The tests above also use the demo model's.
if (existsSync(WORLD)) {
  Deno.test("the published World vocabulary gives the golden ids", () => {
    const tokenizer = new Tokenizer(parseVocabulary(Deno.readTextFileSync(WORLD), "world"));
    for (const { text, ids } of golden) {
      assert.deepEqual(tokenizer.encode(text), ids, text);
      assert.equal(
        new TextDecoder("utf-8", { ignoreBOM: true }).decode(tokenizer.decode(ids)),
        text,
      );
    }
    assert.deepEqual(
      tokenizer.encode("User: hi\n\nAssistant:"),
      [24281, 59, 4571, 261, 5585, 41693, 59],
    );
    assert.equal(tokenizer.size, 65530);
  });
}

Deno.test("encoding takes linear time", () => {
  const tokenizer = new Tokenizer(vocabularies.at(-1)!);
  // At every position, the longest token matches except for its last byte.
  const text = "aaaaaaab".repeat(2 ** 17);
  const start = performance.now();
  assert(tokenizer.encode(text).length > 0);
  assert(performance.now() - start < 2000);
});

Deno.test("the end of text has no bytes and is never encoded", () => {
  const tokenizer = new Tokenizer(parseVocabulary(smallVocabulary(), "small"));
  assert.equal(tokenizer.endOfText, 0);
  assert.deepEqual(tokenizer.tokenBytes(0), new Uint8Array());
  assert.deepEqual(tokenizer.decode([0, ...tokenizer.encode("ab"), 0]), Uint8Array.of(97, 98));
  assert(!tokenizer.encode("\0a\0\0").includes(0));
  assert.deepEqual(new Tokenizer(BYTE_VOCABULARY).decode([0]), Uint8Array.of(0));
});

Deno.test("decoding an unknown id is an error with the id", () => {
  const tokenizer = new Tokenizer(parseVocabulary("3 'a' 1\n", "tiny"));
  for (const id of [-1, 1, 2, 4, 0.5, NaN, 2 ** 40]) {
    assert.equal(tokenizer.tokenBytes(id), undefined);
    assert.throws(() => tokenizer.decode([3, id]), (error: unknown) => {
      assert(error instanceof InferenceError && error.code === "invalid_value");
      assert.match(error.message, new RegExp(`token id ${id}: the vocabulary tiny`));
      return true;
    });
  }
});

Deno.test("encoding a byte without a token is an error with its offset", () => {
  const tokenizer = new Tokenizer(parseVocabulary("3 'a' 1\n4 'bcd' 3\n", "tiny"));
  assert.deepEqual(tokenizer.encode("abcda"), [3, 4, 3]);
  assert.throws(() => tokenizer.encode("abc"), (error: unknown) => {
    assert(error instanceof InferenceError && error.code === "invalid_value");
    assert.match(error.message, /byte 0x62 at offset 1: the vocabulary tiny has no token/);
    return true;
  });
  assert.throws(() => tokenizer.encode("a\0"), /byte 0x00 at offset 1/);
});

Deno.test("lone surrogates become U+FFFD, and an empty text has no ids", () => {
  const tokenizer = new Tokenizer(BYTE_VOCABULARY);
  assert.deepEqual(tokenizer.encode("a\ud800b"), [97, 0xef, 0xbf, 0xbd, 98]);
  assert.deepEqual(tokenizer.encode(""), []);
  assert.deepEqual(tokenizer.decode([]), new Uint8Array());
});
