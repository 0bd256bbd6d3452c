/** Regular expressions, compared with JavaScript's own. */

import assert from "node:assert/strict";
import { seeded } from "../support/random_data.ts";
import { accepts, generateText, ofSchema, rejectionMessage } from "./fixtures.ts";

const PATTERNS = [
  "abc",
  "a|bc|",
  "(?:ab?|c+)*d{2,3}",
  "[a-c]{2}[^a-c\\n]?",
  "\\d+\\.\\d{0,2}",
  "\\w[\\w.-]*@[\\w-]+\\.(com|de)",
  "(?<year>\\d{4})-(0[1-9]|1[0-2])",
  "[é-ü]{1,2}[α-ω]",
  "x[^é]",
  "\\u00e9\\x41\\t\\u{1F388}\\uD83C\\uDF88",
  "[\\u{1F380}-\\u{1F390}]+",
  "x.{2}",
  "\\S\\D\\W",
  "[\\d\\-x]+?",
  "[-a]{1,2}[a-]",
  "a{0}b{1}c{2,}",
  "((a|b)(c|d)?){1,3}",
  "\\(\\[\\{\\^\\$\\.\\|\\?\\*\\+\\\\\\/\\}\\]\\)",
  "[\\]\\\\^]",
  "(a?){3}",
  "(a*b?)*",
];

const ALPHABET = [..."aabbcdxyz0129é🎈ωαü_-.@\t ^$|\\()[]{}*+?/", "\u2028", "com", "de", "2024-1"];

Deno.test("an expression accepts exactly the texts that it matches in JavaScript", async () => {
  const random = seeded(1);
  let taken = 0;
  for (const pattern of PATTERNS) {
    const of = { type: "regex", pattern } as const;
    const own = new RegExp(`^(?:${pattern})$`, "u");
    for (let i = 0; i < 40; i++) {
      const text = Array.from(
        { length: Math.floor(6 * random()) },
        () => ALPHABET[Math.floor(random() * ALPHABET.length)],
      ).join("");
      const wanted = own.test(text);
      // Constraints also accept a leading space, which is not displayed, so such texts are skipped.
      if (text.startsWith(" ")) continue;
      if (wanted) taken++;
      assert.equal(await accepts(of, text), wanted, `${pattern} ${JSON.stringify(text)}`);
    }
    for (let i = 0; i < 10; i++) {
      const text = await generateText(of, random, 60);
      if (text === null) continue;
      taken++;
      assert.match(text, own);
    }
  }
  assert.ok(taken > 150, `${taken} texts matched`);
});

Deno.test("anchors at the ends of alternatives work as in JavaScript", async () => {
  assert.ok(await accepts({ type: "regex", pattern: "^a$|^b|c$" }, "b"));
  const cases: [string, string[], string[]][] = [
    ["b", ["b", "abc", "ab"], ["a", ""]],
    ["^b", ["b", "bc"], ["ab"]],
    ["b$", ["b", "ab"], ["ba"]],
    ["^b$|^c", ["b", "ca"], ["ba", "ac"]],
    ["", ["", "x"], []],
  ];
  for (const [pattern, yes, no] of cases) {
    const of = ofSchema({ type: "string", pattern });
    for (const text of yes) {
      assert.ok(await accepts(of, JSON.stringify(text)), `${pattern} ${text}`);
    }
    for (const text of no) {
      assert.ok(!await accepts(of, JSON.stringify(text)), `${pattern} ${text}`);
    }
  }
});

Deno.test("inside a JSON string, characters are escaped and newlines are allowed", async () => {
  const of = ofSchema({ type: "string", pattern: '^["\\\\\\n\\u0001\\s]{2}[^a]$' });
  for (const text of ['"\\x', "\n\n\n", "\u0001\u0001\u0000", '\t\r"', "  é"]) {
    assert.ok(await accepts(of, JSON.stringify(text)), JSON.stringify(text));
  }
  assert.ok(!await accepts(of, '"\n\n\n"'));
  assert.ok(!await accepts(of, '"""""'));
  assert.ok(!await accepts(of, JSON.stringify("\n\na")));
});

Deno.test("classes exclude the newline in plain text unless they name it", async () => {
  assert.ok(!await accepts({ type: "regex", pattern: "[^a]" }, "\n"));
  assert.ok(!await accepts({ type: "regex", pattern: "a\\s" }, "a\n"));
  assert.ok(await accepts({ type: "regex", pattern: "a[\\s\\n]b" }, "a\nb"));
  assert.ok(await accepts({ type: "regex", pattern: "a\\nb" }, "a\nb"));
  assert.ok(await accepts({ type: "regex", pattern: "a[\\t-\\r]b" }, "a\nb"));
});

Deno.test("malformed and non-regular expressions are rejected with a position", async () => {
  const bad: [string, RegExp][] = [
    ["(", /character 2/],
    ["a)", /character 2: unexpected "\)"/],
    ["a**", /character 3/],
    ["*a", /character 1/],
    ["[a", /unexpected end/],
    ["[z-a]", /range/],
    ["a{3,2}", /3 exceeds the maximum 2/],
    ["a{,2}", /number/],
    ["(?=a)b", /\(\?=/],
    ["(?!a)b", /\(\?!/],
    ["(?<=a)b", /\(\?</],
    ["(?i)a", /\(\?i/],
    ["(a)\\1", /\\1/],
    ["(?<x>a)\\k<x>", /\\k/],
    ["\\bword\\b", /\\b/],
    ["\\p{L}", /\\p/],
    ["a^b", /\^ and \$/],
    ["a$b", /unexpected "b"/],
    ["(a$)b", /\$/],
    ["\\u12", /unexpected end/],
    ["\\u{110000}", /valid code point/],
    ["\\", /unexpected end/],
    ["[]", /matches no text/],
    ["(".repeat(100) + ")".repeat(100), /64/],
    ["a".repeat(40_000), /32768/],
  ];
  for (const [pattern, expected] of bad) {
    const message = await rejectionMessage({ type: "regex", pattern });
    assert.match(message, expected, pattern.slice(0, 40));
    assert.match(message, /^guided_regex: /);
  }
});
