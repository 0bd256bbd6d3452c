/**
 * Fuzzing targets for structured output: JSON schemas, regular expressions, grammars and choices.
 */

import assert from "node:assert/strict";
import type { Constraint } from "../../../../src/core/sampling.ts";
import { createTokenConstraints } from "../../../../src/grammar/token_constraints.ts";
import { allowedIds, END, TABLE, TOKENS } from "../../../grammar/fixtures.ts";
import type { Target } from "../target.ts";

const KIB = 1024;

/** Number of tokens sampled from each accepted grammar. */
const STEPS = 6;

/** Shared between cases, as in a worker. Its cache is minimal because every grammar differs. */
const compileConstraint = createTokenConstraints(TABLE, { endToken: END, cachedGrammars: 1 });

const SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 9 },
    age: { type: "integer", minimum: -3, exclusiveMaximum: 120.5 },
    tags: { type: "array", items: { enum: ["a", 1, null, { b: [2] }] }, minItems: 1, maxItems: 3 },
    when: { type: "string", format: "date-time" },
    code: { type: ["string", "null"], pattern: "^[A-Z]{2,3}-\\d+$" },
    more: { $ref: "#/$defs/node" },
  },
  required: ["name", "tags"],
  additionalProperties: false,
  $defs: {
    node: {
      anyOf: [
        { type: "object", properties: { next: { $ref: "#/$defs/node" } }, required: ["next"] },
        { const: "end" },
        { oneOf: [{ type: "number" }, { type: "boolean" }] },
      ],
    },
  },
};

export function grammarTargets(): Target[] {
  return [
    textTarget("schema", (schema) => ({ type: "json_schema", schema }), {
      corpus: [
        JSON.stringify(SCHEMA),
        ...Object.values(SCHEMA.properties).map((schema) => JSON.stringify(schema)),
        JSON.stringify({ type: "array", prefixItems: [{ type: "number" }, true], items: false }),
        JSON.stringify({ type: "object", additionalProperties: { type: "integer" } }),
        "true",
      ],
      words: [
        ...["type", "properties", "required", "items", "prefixItems", "enum", "const", "$ref", "#"],
        ...["anyOf", "oneOf", "allOf", "minItems", "maxItems", "minLength", "maxLength", "pattern"],
        ...["minimum", "maximum", "multipleOf", "format", "additionalProperties", "#/$defs/node"],
        ...["nullable", "not", "integer", "number", "null", "true", "false", "{}", "[]", "uuid"],
        ...["#/properties/more", "(a|b)*", "^(a{0,99}){0,99}$", "email", "uri", "__proto__"],
      ],
    }),
    textTarget("regex", (pattern) => ({ type: "regex", pattern }), {
      corpus: [
        "\\d{3}-\\d{4}",
        "(a|b(?:c|d)*)+[^x-z]?$",
        "^[\\w.]+@(?<host>[a-z]{1,9}\\.)+de$",
        "é*🎈+",
      ],
      words: [
        ...["(|)", "()", "(|)*", "{0,}", "{999999999}", "{1,999999999}", "[^a]", "\\s", "\\W"],
        ...["(?:", "(?=", "\\1", "\\b", "\\p{L}", ".*", "(.*)*", "|", "$", "^", "\\u{10ffff}"],
        ...["[\\u{0}-\\u{10ffff}]", "(".repeat(70), ")".repeat(70), "(a?)".repeat(200), "[^a]*"],
      ],
    }),
    textTarget("ebnf", (ebnf) => ({ type: "grammar", ebnf }), {
      corpus: [
        'root ::= "yes" | "no" [!?]?',
        'root ::= expr\nexpr ::= term ("+" term)*\nterm ::= [0-9]+ | "(" expr ")" # a comment\n',
        'root ::= a{2,3} b\na ::= "x" | ""\nb ::= [^a-z\\n] b | "end"',
      ],
      words: [
        ...["root", "::=", "expr", "term", " a ", " b", "|", "\n", "#", "(", ")", "[^a]", "{0,}"],
        ...["{999999999}", '""', '"a"', "a b c ", "root root", "c ::= d\nd ::= c\n", "TagDispatch"],
        ...["a? ".repeat(100), "(".repeat(70), "x".repeat(300)],
      ],
    }),
    textTarget("choice", (text) => ({ type: "choice", choices: text.split("\n") }), {
      corpus: ["yes\nno", "a\nab\nabc\nb", "", "größe\ngröße🎈\n\ud83c"],
      words: ["\n", "a\n".repeat(50), "ab\n", "\n\n"],
    }),
  ];
}

function textTarget(
  name: string,
  constraintOf: (text: string) => Constraint,
  { corpus, words }: { corpus: readonly string[]; words: readonly string[] },
): Target {
  return {
    name,
    corpus: corpus.map((text) => new TextEncoder().encode(text)),
    words,
    most: 64 * KIB,
    // Token sets, and grammar nodes per byte of text.
    allocates: (size) => 512 * size + 4 * KIB * KIB,
    read: async (bytes) => {
      const constraint = await compileConstraint(constraintOf(new TextDecoder().decode(bytes)));
      let choice = bytes.reduce((sum, byte) => (31 * sum + byte) >>> 0, 7);
      for (let step = 0; step < STEPS; step++) {
        const ids = await allowedIds(constraint);
        assert.ok(ids.length > 0, "no token is allowed, not even end of text");
        const id = ids[choice % ids.length];
        assert.ok(id === END || TOKENS[id] !== undefined, `${id} is not a token`);
        constraint.accept(id);
        if (id === END) break;
        choice = (Math.imul(choice, 1_103_515_245) + 12_345) >>> 0;
      }
      constraint.close();
      return "accepted";
    },
  };
}
