import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { tokenTable, vocabularyHash } from "../../src/tokenizer/token_table.ts";
import { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import {
  BYTE_VOCABULARY,
  parseVocabulary,
  type Vocabulary,
} from "../../src/tokenizer/vocabulary.ts";

const parse = (text: string) => parseVocabulary(text, "vocab.txt");

/** Returns the bytes of a single token with id 5. */
function bytesOf(literal: string, length: number): number[] {
  return [...parse(`5 ${literal} ${length}\n`).tokens.get(5)!];
}

function assertRejected(text: string, message: RegExp): void {
  assert.throws(() => parse(text), (error: unknown) => {
    assert(error instanceof InferenceError && error.code === "invalid_vocabulary", `${error}`);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("Python literals are parsed", () => {
  const utf8 = (text: string) => [...new TextEncoder().encode(text)];
  assert.deepEqual(bytesOf("'Hello'", 5), utf8("Hello"));
  assert.deepEqual(bytesOf(String.raw`'\n\r\t\\\''`, 5), utf8("\n\r\t\\'"));
  assert.deepEqual(bytesOf(`"it's"`, 4), utf8("it's"));
  assert.deepEqual(bytesOf(String.raw`"'\""`, 2), utf8(`'"`));
  assert.deepEqual(bytesOf(`'"'`, 1), utf8('"'));
  assert.deepEqual(bytesOf(String.raw`'\x00\x7f\xa0'`, 4), utf8("\0\x7f\xa0"));
  assert.deepEqual(bytesOf(String.raw`'\u200b\u2028'`, 6), utf8("\u200b\u2028"));
  assert.deepEqual(bytesOf(String.raw`'\U000e0001'`, 4), utf8("\u{e0001}"));
  assert.deepEqual(bytesOf("'世界 😀'", 11), utf8("世界 😀"));
  assert.deepEqual(bytesOf(String.raw`b'\xe4\xb8'`, 2), [0xe4, 0xb8]);
  assert.deepEqual(bytesOf(String.raw`b"'\xff\n"`, 3), [0x27, 0xff, 10]);
  assert.deepEqual(bytesOf(String.raw`b'\\u1234'`, 6), utf8("\\u1234"));
  assert.deepEqual(bytesOf("'   1 2'", 6), utf8("   1 2"));
});

Deno.test("a vocabulary has one token per line, and 0 as end of text", () => {
  const { name, tokens, endOfText } = parse("1 'a' 1\r\n7 'b' 1\n65535 'ab' 2");
  assert.equal(name, "vocab.txt");
  assert.deepEqual([...tokens.keys()], [1, 7, 65535]);
  assert.equal(endOfText, 0);
});

Deno.test("byte order marks, CRLF and trailing empty lines are accepted", () => {
  const plain = parse("1 'a' 1\n2 'b' 1\n");
  for (
    const text of [
      "\ufeff1 'a' 1\r\n2 'b' 1\r\n",
      "1 'a' 1\n2 'b' 1\n\n",
      "1 'a' 1\n2 'b' 1\r\n \r\n\r\n",
      "0 '<|endoftext|>' 13\n1 'a' 1\n2 'b' 1",
    ]
  ) {
    const { tokens, endOfText } = parse(text);
    assert.deepEqual([tokens, endOfText], [plain.tokens, 0], JSON.stringify(text));
  }
});

Deno.test("all three formats give the same vocabulary", () => {
  const world = parse("1 '\\x00' 1\n2 b'\\xe4' 1\n3 '\\n\\n' 2\n4 \"it's\" 4\n5 '世' 3\n");
  const literals = "b'\\x00'\nb'\\xe4'\n'\\n\\n'\n\"it's\"\nb'\\xe4\\xb8\\x96'\n";
  const json = '{"1": "\\u0000", "2": [228], "3": "\\n\\n", "4": "it\'s", "5": "世"}';
  for (
    const text of [
      `b'<s>'\n${literals}`,
      `\ufeff"</s>"\r\n${literals.replaceAll("\n", "\r\n")}\r\n\n`,
      `'<|endoftext|>'\n${literals}`,
      json,
      `\ufeff\n${json.replace("{", '{\n "0": "<s>", ')}\n`,
    ]
  ) {
    const { tokens, endOfText } = parse(text);
    assert.deepEqual([tokens, endOfText], [world.tokens, 0], JSON.stringify(text));
  }
});

Deno.test("malformed files of other formats are rejected with the line or the entry", () => {
  assertRejected(
    "'a'\n'b'\n",
    /vocab\.txt, line 1: no end of text in "'a'": .*first line is '<s>'/,
  );
  assertRejected("'<s>'\n", /vocab\.txt: it has no tokens/);
  assertRejected("'<s>'\n'a'\nb\n", /line 3: no literal in "b": each line is a literal/);
  assertRejected("'<s>'\n'a'\n\n'b'\n", /line 3: no literal in ""/);
  assertRejected("'<s>'\n'a'\nb'a'\n", /line 3: the same bytes as on line 2/);
  assertRejected("'<s>'\n'a'\n''\n", /line 3: a token outside 1 to/);
  assertRejected("{}", /vocab\.txt: it has no tokens/);
  assertRejected('{"1": "a",', /vocab\.txt: it is not JSON \(.*download the vocabulary again/);
  assertRejected(
    '{"!": 0}',
    /entry "!": a key that is not an id from 0 to 1048575 in "0": .*"33155"/,
  );
  assertRejected('{"1048576": "a"}', /entry "1048576": a key that is not an id/);
  assertRejected('{"model": {"type": "BPE"}}', /entry "model": a key that is not an id/);
  for (const value of ["1", "null", "[256]", "[-1]", "[1.5]", '["a"]', '"\\ud800"']) {
    assertRejected(`{"1": "a", "2": ${value}}`, /entry "2": neither text nor bytes/);
  }
  assertRejected('{"1": "a", "2": [97]}', /entry "2": the same bytes as in entry "1"/);
  assertRejected('{"1": ""}', /entry "1": a token outside 1 to/);
  assertRejected(`{"1": "${"x".repeat(5000)}"}`, /entry "1": a token outside 1 to 4096 bytes/);
});

Deno.test("malformed lines are rejected with their number", () => {
  const good = "1 'a' 1\n";
  assertRejected("", /vocab\.txt: it has no tokens/);
  assertRejected(good + "\n" + "2 'b' 1\n", /vocab\.txt, line 2: no id/);
  assertRejected(good + "2 'b'\n", /line 2: no id, literal and length in "2 'b'"/);
  assertRejected(good + "x 'b' 1\n", /line 2: no id/);
  assertRejected(good + "-2 'b' 1\n", /line 2: no id/);
  assertRejected(good + "0 'b' 2\n", /line 2: a literal of 1 bytes/);
  assertRejected(good + "999999999 'b' 1\n", /line 2: the id 999999999/);
  assertRejected(good + "1 'b' 1\n", /line 2: the id 1 of an earlier line/);
  assertRejected(good + "2 'b' 2\n", /line 2: a literal of 1 bytes/);
  assertRejected(good + "2 'é' 1\n", /line 2: a literal of 2 bytes/);
  assertRejected(good + "2 '' 0\n", /line 2: a token outside 1 to/);
  assertRejected(good + `2 '${"x".repeat(300_000)}' 300000\n`, /line 2: a token outside 1 to/);
  assertRejected(good + "2 b'a' 1\n", /line 2: the same bytes as on line 1/);
  const literals = [
    "b",
    "'b",
    `'b"`,
    `b'é'`,
    `'a'b'`,
    String.raw`'\q'`,
    String.raw`'\'`,
    String.raw`'\x4'`,
    String.raw`'\u12'`,
    String.raw`'\U00110000'`,
    String.raw`'\ud800'`,
    String.raw`b'\u0041'`,
    String.raw`b'\U00000041'`,
    "r'b'",
    "os.system('b')",
  ];
  for (const literal of literals) {
    assertRejected(`${good}2 ${literal} 1\n`, /line 2: no literal of a Python str or bytes/);
  }
});

Deno.test("the built-in vocabulary's ids are bytes", () => {
  assert.equal(BYTE_VOCABULARY.tokens.size, 256);
  for (let byte = 0; byte < 256; byte++) {
    assert.deepEqual([...BYTE_VOCABULARY.tokens.get(byte)!], [byte]);
  }
  assert.equal(BYTE_VOCABULARY.endOfText, null);
});

Deno.test("a literal is parsed up to the maximum token length", () => {
  const long = String.raw`\U00000041`.repeat(4096);
  assert.equal(parseVocabulary(`1 '${long}' 4096\n`, "test.txt").tokens.get(1)!.length, 4096);
  assertRejected(
    `1 '${"a".repeat(2_000_000)}' 2000000\n`,
    /line 1: a token outside 1 to 4096 bytes/,
  );
});

Deno.test("vocabularies with the same tokens have the same hash in every format", async () => {
  const hash = async (vocabulary: Vocabulary) => {
    const tokenizer = new Tokenizer(vocabulary);
    return await vocabularyHash(tokenTable(tokenizer), tokenizer.endOfText);
  };
  const own = await hash(parse("1 'a' 1\n7 'b' 1\n9 'ab' 2\n"));
  assert.match(own, /^[0-9a-f]{24}$/);
  for (const same of ["1 'a' 1\r\n7 'b' 1\r\n9 'ab' 2", "9 b'ab' 2\n7 \"b\" 1\n1 'a' 1\n"]) {
    assert.equal(await hash(parse(same)), own);
  }
  const others = [
    "1 'b' 1\n7 'a' 1\n9 'ab' 2\n",
    "1 'a' 1\n8 'b' 1\n9 'ab' 2\n",
    "1 'a' 1\n7 'ba' 2\n9 'b' 1\n",
    "1 'a' 1\n7 'b' 1\n9 'ab' 2\n10 'c' 1\n",
  ];
  const hashes = await Promise.all([...others.map(parse), BYTE_VOCABULARY].map(hash));
  assert.equal(new Set([own, ...hashes]).size, others.length + 2);
});
