/** JSON Schema: generated texts are valid, and valid texts can be generated. */

import assert from "node:assert/strict";
import { caseCount } from "../support/quick.ts";
import { seeded } from "../support/random_data.ts";
import { accepts, generateText, ofSchema, schemaValidator } from "./fixtures.ts";
import { randomSchema } from "./random_schemas.ts";

Deno.test("random texts are valid for random schemas", async () => {
  const seeds = caseCount(200, 80);
  let ended = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const schema = randomSchema(seed);
    const text = await generateText(ofSchema(schema), seeded(seed));
    if (text === null) continue;
    ended++;
    assert.ok(schemaValidator(schema)(text), `${JSON.stringify(schema)}\n${text}`);
  }
  assert.ok(ended > 0.95 * seeds, `${ended} of ${seeds} ended`);
});

Deno.test("json_object produces an object on one line", async () => {
  const random = seeded(9);
  for (let i = 0; i < 40; i++) {
    const text = await generateText({ type: "json_object" }, random);
    if (text === null) continue;
    assert.equal(Object.prototype.toString.call(JSON.parse(text)), "[object Object]");
    assert.ok(!text.includes("\n"));
  }
  for (const text of ["{}", '{"a": [1, {"b": null}], "é\\n": "\\ud83c x"}']) {
    assert.equal(await accepts({ type: "json_object" }, text), !text.includes("\\ud83c"), text);
  }
  for (const text of ["[]", "{} ", '{"a":1,}', '{"a":\n1}', '{"a":  1}', "{", '{"a":1 }']) {
    assert.ok(!await accepts({ type: "json_object" }, text), text);
  }
});

interface Case {
  schema: unknown;
  yes: string[];
  no: string[];
}

const CASES: Record<string, Case> = {
  "properties are in the order of the schema": {
    schema: {
      type: "object",
      properties: { a: { type: "boolean" }, b: { type: "null" }, c: { const: 1 } },
      required: ["b"],
    },
    yes: ['{"a":true,"b":null,"c":1}', '{"b": null}', '{"b":null, "c":1}', '{"a":false,"b":null}'],
    no: [
      "{}",
      '{"c":1,"b":null}',
      '{"b":null,"d":1}',
      '{"a":true}',
      '{"b":null,}',
      '{"b":null"c":1}',
    ],
  },
  "additional properties are last, with other names": {
    schema: {
      type: "object",
      properties: { ab: { type: "null" }, "": { type: "null" }, 'q"': { type: "null" } },
      additionalProperties: { type: "boolean" },
    },
    yes: [
      '{"ab":null,"x":true}',
      '{"a":true,"abc":false,"q":true}',
      '{"":null}',
      '{"q\\"":null,"q\\"\\"":true}',
      "{}",
    ],
    no: ['{"ab":true}', '{"\\u0061b":true}', '{"":true}', '{"x":true,"ab":null}', '{"q\\"":true}'],
  },
  "required properties without a schema are additional": {
    schema: { type: "object", required: ["x"], additionalProperties: { type: "integer" } },
    yes: ['{"x":1}', '{"x":1,"y":2}'],
    no: ["{}", '{"y":1}'],
  },
  "objects are open only without object keywords": {
    schema: { anyOf: [{ type: "array", items: { type: "object" } }, { properties: {} }] },
    yes: ['[{"a":[{}]}]', "{}", "[]"],
    no: ['{"a":1}', "[1]"],
  },
  "names are escaped as in JSON": {
    schema: { type: "object", properties: { 'a"\\\n': { type: "null" } }, required: ['a"\\\n'] },
    yes: ['{"a\\"\\\\\\n":null}'],
    no: ['{"a"\\\n":null}', "{}"],
  },
  "arrays with lengths, items and prefix items": {
    schema: {
      type: "array",
      prefixItems: [{ type: "integer" }, { type: "boolean" }],
      items: { type: "null" },
      minItems: 1,
      maxItems: 4,
    },
    yes: ["[1]", "[1,true]", "[1, false, null]", "[1,true,null,null]"],
    no: ["[]", "[true]", "[1,null]", "[1,true,null,null,null]"],
  },
  "prefix items alone are optional and exhaustive": {
    schema: { type: "array", prefixItems: [{ type: "integer" }, { type: "boolean" }] },
    yes: ["[]", "[1]", "[1,true]"],
    no: ["[1,true,1]", "[true]"],
  },
  "items after the prefix items": {
    schema: { prefixItems: [{ type: "integer" }], items: true, minItems: 3, maxItems: 3 },
    yes: ['[1,2,"x"]'],
    no: ["[1,2]", "[1,2,3,4]"],
  },
  "no items": { schema: { type: "array", maxItems: 0 }, yes: ["[]"], no: ["[1]"] },
  "string lengths count characters, not bytes or escapes": {
    schema: { type: "string", minLength: 2, maxLength: 3 },
    yes: ['"aé"', '"🎈🎈🎈"', '"\\n\\u00e9"', '"\\"\\\\\\/"'],
    no: ['"a"', '"abcd"', '"🎈"', '"\\u00"', '"\\ud83c\\udf88"', '"a\nb"', '"\\x"', '"ab'],
  },
  "enum values, with and without a type": {
    schema: { type: ["string", "integer"], enum: ['a"', 1, 1.5, null, { k: [1, "é"] }, "a"] },
    yes: ['"a\\""', "1", '"a"'],
    no: ["1.5", "null", '"a', '{"k":[1,"é"]}'],
  },
  "constants of any kind": {
    schema: { const: { k: [1, "é", null] } },
    yes: ['{"k":[1,"é",null]}'],
    no: ['{"k":[1,"é"]}', "{}"],
  },
  "nullable types": {
    schema: {
      type: "object",
      properties: {
        a: { type: "string", nullable: true, enum: ["x", null] },
        b: { type: "integer", nullable: true },
        c: { type: ["boolean", "null"] },
      },
      required: ["a", "b", "c"],
    },
    yes: ['{"a":null,"b":null,"c":null}', '{"a":"x","b":1,"c":true}'],
    no: ['{"a":"y","b":1,"c":true}', '{"a":"x","b":"1","c":true}'],
  },
  "references, including recursive ones": {
    schema: {
      $ref: "#/$defs/t~1r~0e%20e",
      $defs: {
        "t/r~e e": {
          type: "object",
          properties: { v: { $ref: "#/definitions/v" }, l: { $ref: "#/$defs/t~1r~0e e" } },
          required: ["v"],
        },
      },
      definitions: { v: { enum: [1, 2] } },
    },
    yes: ['{"v":1}', '{"v":2,"l":{"v":1,"l":{"v":1}}}'],
    no: ['{"l":{"v":1}}', '{"v":3}'],
  },
  "the root refers to itself": {
    schema: { type: "array", items: { $ref: "#" } },
    yes: ["[]", "[[],[[]]]"],
    no: ["[1]", "[[]"],
  },
  "oneOf with disjoint options": {
    schema: {
      oneOf: [
        { type: "integer" },
        { type: "string", maxLength: 1 },
        { $ref: "#/$defs/a" },
        {
          type: "object",
          properties: { kind: { enum: ["b", "c"] } },
          required: ["kind"],
        },
      ],
      $defs: { a: { type: "object", properties: { kind: { const: "a" } }, required: ["kind"] } },
    },
    yes: ["1", '"x"', '{"kind":"a"}', '{"kind":"c"}'],
    no: ["null", '{"kind":"d"}'],
  },
  "one schema of allOf, and notes": {
    schema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      $id: "https://example.org/x",
      title: "T",
      description: "d",
      "x-own": {},
      allOf: [{ type: "boolean", default: true, examples: [1], $comment: "c" }],
    },
    yes: ["true"],
    no: ["1"],
  },
  "keywords imply a type": {
    schema: { anyOf: [{ minLength: 2, maxLength: 2 }, { maximum: 3 }, { maxItems: 1 }] },
    yes: ['"ab"', "3", "-10.5", "[1]", "[]"],
    no: ['"a"', "4", "[1,2]"],
  },
  "keywords of other types have no effect": {
    schema: { type: "integer", minLength: 3, uniqueItems: false, multipleOf: 1 },
    yes: ["7"],
    no: ["7.5"],
  },
  "property counts that always hold": {
    schema: {
      type: "object",
      properties: { a: { const: 1 }, b: { const: 2 } },
      required: ["a"],
      minProperties: 1,
      maxProperties: 2,
      unevaluatedProperties: false,
      patternProperties: {},
    },
    yes: ['{"a":1}', '{"a":1,"b":2}'],
    no: ["{}", '{"b":2}'],
  },
  "lengths that a pattern implies": {
    schema: { type: "string", pattern: "^[a-z]{2,3}$", minLength: 1, maxLength: 3 },
    yes: ['"ab"'],
    no: ['"a"'],
  },
  "lengths that a format implies": {
    schema: { type: "string", format: "uri", minLength: 1, maxLength: 2083 },
    yes: ['"https://example.org/a"'],
    no: ['"example"'],
  },
  "names of inherited properties": {
    schema: JSON.parse(
      '{"type":"object","properties":{"__proto__":{"const":1},"constructor":{"const":2}},' +
        '"required":["__proto__","constructor"]}',
    ),
    yes: ['{"__proto__":1,"constructor":2}'],
    no: ["{}"],
  },
};

for (const [name, { schema, yes, no }] of Object.entries(CASES)) {
  Deno.test(`${name}`, async () => {
    const of = ofSchema(schema);
    for (const text of yes) assert.ok(await accepts(of, text), text);
    for (const text of no) assert.ok(!await accepts(of, text), text);
  });
}

Deno.test("formats produce valid strings", async () => {
  const random = seeded(3);
  const known: Record<string, string[]> = {
    "date": ["2024-02-28", "1999-12-31"],
    "time": ["23:59:59Z", "00:00:00.5+02:00"],
    "date-time": ["2024-02-28T23:59:59Z"],
    "duration": ["P3D", "PT15M", "P2W"],
    "email": ["ada.l@example.org"],
    "hostname": ["www.example.org"],
    "ipv4": ["192.168.0.1"],
    "ipv6": ["2001:db8:0:0:0:0:0:1"],
    "uri": ["https://example.org/a/b"],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000"],
  };
  for (const [format, texts] of Object.entries(known)) {
    const schema = { type: "string", format };
    for (const text of texts) assert.ok(await accepts(ofSchema(schema), `"${text}"`), text);
    const valid = schemaValidator(schema);
    assert.ok(!valid('"?"'), `${format} is judged`);
    for (let i = 0; i < 30; i++) {
      const text = await generateText(ofSchema(schema), random);
      assert.ok(text === null || valid(text), `${format}: ${text}`);
    }
  }
  assert.ok(!await accepts(ofSchema({ type: "string", format: "date" }), '"2023-02-29"'));
});
