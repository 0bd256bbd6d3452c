/** Grammars in EBNF. */

import assert from "node:assert/strict";
import { accepts, rejectionMessage } from "./fixtures.ts";

function ebnf(text: string) {
  return { type: "grammar", ebnf: text } as const;
}

Deno.test("a grammar accepts exactly its texts", async () => {
  const sums = ebnf(`
    # Sums, with products in them.
    root ::= sum ("\\n" sum)?
    sum  ::= product ([+-] product)*   # signs
    product ::= factor ("*" factor)* | "-" factor
    factor ::= [0-9]+ ("." [0-9]{1,2})? |
               "(" sum ")"
  `);
  for (const text of ["1", "1+2*3", "(1-2)*(3.25+-4)", "1\n2", "((7))"]) {
    assert.ok(await accepts(sums, text), text);
  }
  for (const text of ["", "1+", "1.", "1.255", "((7)", "1\n", "a"]) {
    assert.ok(!await accepts(sums, text), text);
  }
});

Deno.test("literals, classes and counts follow the syntax of xgrammar", async () => {
  const cases: [string, string[], string[]][] = [
    ['root ::= "é\\u00e9\\x41\\"\\\\\\U0001F388"', ['éé\x41"\\🎈'], ["é"]],
    ["root ::= [a-zé\\-\\]]{2}", ["é-", "a]"], ["aA", "a"]],
    ["root ::= [^\\x00-\\x7f] [^a]?", ["é", "éb"], ["a", "éa", "é\n"]],
    ['root ::= a{0,2} b{2,} c{3}\na ::= "a"\nb::="b"\nc ::= [c]', ["bbccc", "aabbbccc"], [
      "bccc",
      "bbcc",
      "aaabbccc",
    ]],
    ['root ::= "a" | "ab" | | "b"+', ["a", "ab", "", "bb"], ["abb"]],
    ['root ::= (("x"))? rule-1.b_c\nrule-1.b_c ::= "y"', ["xy", "y"], ["x"]],
    ['root ::= "[" (root ("," root)*)? "]"', ["[]", "[[],[[]]]"], ["[", "[,]"]],
    ['root ::= empty "a" empty\nempty ::= "" | "b"', ["a", "ba", "bab"], ["b"]],
    ['root::="a"\r\n# the end', ["a"], ["b"]],
  ];
  for (const [grammar, yes, no] of cases) {
    for (const text of yes) assert.ok(await accepts(ebnf(grammar), text), `${grammar}: ${text}`);
    for (const text of no) assert.ok(!await accepts(ebnf(grammar), text), `${grammar}: ${text}`);
  }
});

Deno.test("malformed, unsatisfiable and unsupported grammars are rejected with a position or a rule", async () => {
  const bad: [string, RegExp][] = [
    ["", /"root"/],
    ['start ::= "a"', /"root"/],
    ["root ::= other", /character 10: .*"other" is not defined/],
    ['root ::= "a"\nroot ::= "b"', /character 14: .*twice/],
    ['root ::= "a', /end|unterminated/],
    ['root ::= "a\n"', /unterminated/],
    ["root ::= (", /unexpected end|expected/],
    ['root ::= ("a"', /"\)" expected/],
    ['root ::= "a")', /unexpected/],
    ["root ::= [z-a]", /range/],
    ["root ::= [\\d]", /\\d/],
    ['root ::= "a"{2', /"}" expected/],
    ['root ::= "a"{3,1}', /3 exceeds the maximum 1/],
    ['root ::= "a" (= "b")', /lookahead/],
    ['root ::= TagDispatch(("a", b))', /TagDispatch/],
    ['root ::= root "a" | "b"', /"root" is left-recursive/],
    ['root ::= a\na ::= b? a2\na2 ::= "x"* a "y" | "z"\nb ::= "c"', /is left-recursive/],
    ['root ::= "a" root', /matches no text/],
    ["= 3", /unexpected/],
    ['root = "a"', /::=/],
    ["root ::= " + "(".repeat(100), /64/],
    [`root ::= "${"a".repeat(40_000)}"`, /32768/],
    [Array.from({ length: 1200 }, (_, i) => `r${i}::=r${i + 1}`).join("\n"), /1000 rules/],
    [
      "root::=r0\n" + Array.from({ length: 400 }, (_, i) => `r${i}::=r${i + 1}`).join("\n") +
      '\nr400::="a"',
      /200 rules/,
    ],
    [
      "root ::= a a a a a a a a\na ::= b b b b b b b b\nb ::= c c c c c c c c\n" +
      "c ::= d d d d d d d d\nd ::= [a-z]?",
      /1024/,
    ],
  ];
  for (const [grammar, expected] of bad) {
    const message = await rejectionMessage(ebnf(grammar));
    assert.match(message, expected, grammar.slice(0, 60));
    assert.match(message, /^guided_grammar: /);
  }
});
