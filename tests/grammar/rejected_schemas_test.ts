/** Schemas that are unsupported, malformed or too large are rejected or cheap. */

import assert from "node:assert/strict";
import { caseCount } from "../support/quick.ts";
import { seeded } from "../support/random_data.ts";
import {
  constrain,
  generateText,
  ofSchema,
  rejectionMessage,
  schemaValidator,
} from "./fixtures.ts";
import { wrongSchema } from "./wrong_schemas.ts";

function tagged(kind: number, more: object) {
  return { type: "object", properties: { k: { const: kind } }, required: ["k"], ...more };
}

const REFUSED: [schema: unknown, message: RegExp][] = [
  [{ not: { type: "string" } }, /"#": the keyword "not"/],
  [{ type: "integer", not: {} }, /"#": the keyword "not"/],
  [{ type: "array", items: { if: { type: "null" } } }, /"#\/items": the keyword "if"/],
  [{ properties: { "a/b": { then: { const: 1 } } } }, /"#\/properties\/a~1b": the keyword "then"/],
  [{ properties: { a: { patternProperties: { x: {} } } } }, /"patternProperties"/],
  [{ type: "object", propertyNames: { pattern: "^a" } }, /"propertyNames"/],
  [{ type: "object", dependentRequired: { a: ["b"] } }, /"dependentRequired"/],
  [{ type: "object", dependentSchemas: { a: { const: 1 } } }, /"dependentSchemas"/],
  [{ type: "object", unevaluatedProperties: true }, /"unevaluatedProperties"/],
  [{ type: "array", uniqueItems: true }, /"uniqueItems"/],
  [{ type: "array", contains: { const: 1 } }, /"contains"/],
  [{ type: "array", items: [{ const: 1 }] }, /"prefixItems"/],
  [{ type: "array", items: false, minItems: 1 }, /"minItems"/],
  [{ type: "array", minItems: 3, maxItems: 2 }, /"minItems" 3 exceeds "maxItems" 2/],
  [{ type: "integer", multipleOf: 3 }, /"multipleOf"/],
  [{ type: "number", multipleOf: 1 }, /"multipleOf"/],
  [{ type: "string", pattern: "^a+$", minLength: 3 }, /"pattern" together with "minLength"/],
  [{ type: "string", pattern: "^a+$", maxLength: 3 }, /"pattern" together with "maxLength"/],
  [{ type: "string", format: "uuid", maxLength: 3 }, /"format" together with "maxLength"/],
  [{ type: "string", pattern: "a", format: "uuid" }, /together with/],
  [{ type: "string", pattern: "(?=a)" }, /"#": "pattern": at character 3/],
  [{ type: "string", format: "frob" }, /"frob" is not supported.*uuid/],
  [{ type: "string", minLength: 3, maxLength: 2 }, /"minLength" 3 exceeds "maxLength" 2/],
  [{ type: "object", properties: {}, minProperties: 1 }, /"minProperties"/],
  [{ type: "object", properties: { a: {}, b: {} }, maxProperties: 1 }, /"maxProperties"/],
  [{ type: "object", properties: { a: {} }, required: ["b"] }, /"required" lists "b"/],
  [{ allOf: [{ type: "object" }, { required: ["a"] }] }, /"allOf"/],
  [{ anyOf: [{ type: "null" }], type: "object" }, /"type" together with "anyOf"/],
  [{ $ref: "#/$defs/a", minLength: 3, $defs: { a: {} } }, /"minLength" together with "\$ref"/],
  [{ enum: ["a"], minLength: 3 }, /"minLength" together with "enum"/],
  [{ enum: ["a"], type: "integer" }, /no listed value/],
  [{ enum: ["a"], const: "b" }, /no listed value/],
  [{ oneOf: [{ type: "integer" }, { type: "number" }] }, /"oneOf".* 0 and 1/],
  [{ oneOf: [{ type: "object", properties: { k: { const: 1 } } }, { type: "object" }] }, /"oneOf"/],
  [{ oneOf: [tagged(1, { nullable: true }), tagged(2, { nullable: true })] }, /"oneOf"/],
  [{ oneOf: [{ const: { a: 1, b: 2 } }, { const: { b: 2, a: 1 } }] }, /"oneOf"/],
  [{ oneOf: Array.from({ length: 401 }, (_, i) => ({ const: i })) }, /"oneOf" has more than 400/],
  [{ $ref: "#/$defs/none" }, /does not exist/],
  [{ $ref: "#/constructor" }, /does not exist/],
  [{ $ref: "https://example.org/schema" }, /must point into the schema/],
  [{ $ref: "#" }, /"#" is left-recursive/],
  [
    { anyOf: [{ $ref: "#/$defs/a" }], $defs: { a: { anyOf: [{ $ref: "#" }] } } },
    /is left-recursive/,
  ],
  [{ type: "array", items: { $ref: "#" }, minItems: 1 }, /matches no text/],
  [{ $dynamicRef: "#a" }, /"\$dynamicRef"/],
  [{ properties: { a: { $id: "x" } } }, /"\$id"/],
  [false, /false matches no value/],
  [{ properties: { a: false } }, /"#\/properties\/a": the schema false/],
  [
    { type: "array", maxItems: 1e9, minItems: 1.5 },
    /"minItems" must be a non-negative integer.*1\.5/,
  ],
  [{ enum: Array.from({ length: 20_000 }, (_, i) => i) }, /65536/],
  [{ properties: Object.fromEntries(Array.from({ length: 500 }, (_, i) => [i, true])) }, /400/],
  [{ anyOf: Array.from({ length: 3000 }, () => true) }, /2000/],
];

Deno.test("unsupported schemas are rejected with the keyword and its JSON pointer", async () => {
  for (const [schema, message] of REFUSED) {
    const actual = await rejectionMessage(ofSchema(schema));
    assert.match(actual, message);
    assert.match(actual, /^response_format: /);
  }
  assert.match(await rejectionMessage({ type: "json_schema", schema: "{" }), /not JSON/);
  const deep = "[".repeat(30_000) + "]".repeat(30_000);
  assert.match(
    await rejectionMessage({ type: "json_schema", schema: `{"items":${deep}}` }),
    /prefixItems/,
  );
  const nested = '{"items":'.repeat(5000) + "true" + "}".repeat(5000);
  assert.match(
    await rejectionMessage({ type: "json_schema", schema: nested }),
    /nested more than 64/,
  );
  const longName = { properties: { ["a".repeat(5000)]: true }, additionalProperties: true };
  assert.match(await rejectionMessage(ofSchema(longName)), /4000 characters/);
  const bounds = { type: "number", minimum: -1.234567890123, maximum: 9.876543210987 };
  const numbers = Array.from({ length: 390 }, (_, i) => [i, { ...bounds, minimum: i / 977 }]);
  const many = { properties: Object.fromEntries(numbers) };
  assert.match(await rejectionMessage(ofSchema(many)), /parts; the maximum is 50000/);
});

Deno.test("sizes that no text can reach cost nothing", async () => {
  for (
    const schema of [
      { type: "array", minItems: 1e9, items: { type: "string", minLength: 1e9 } },
      { type: "string", maxLength: 1e9, minLength: 1e6 },
      { type: "string", pattern: "^((a{1000}){1000}){1000}$" },
      { enum: Array.from({ length: 5000 }, (_, i) => `value ${i}`) },
    ]
  ) {
    const text = await generateText(ofSchema(schema), seeded(1), 20);
    assert.equal(text !== null, "enum" in schema);
  }
});

/** Returns `null` if the reference validator, which is stricter in some ways, rejects the schema. */
function judgeOrNull(schema: object): ((json: string) => boolean) | null {
  try {
    return schemaValidator(schema);
  } catch {
    return null;
  }
}

Deno.test("randomly malformed schemas are rejected or produce valid texts", async () => {
  const counts = { rejected: 0, accepted: 0 };
  const seeds = caseCount(1500, 300);
  for (let seed = 1; seed <= seeds; seed++) {
    const schema = wrongSchema(seed);
    const of = ofSchema(schema);
    const error = await constrain(of).then(() => null, (reason) => reason);
    if (error === null) {
      counts.accepted++;
      const text = await generateText(of, seeded(seed), 60);
      const valid = judgeOrNull(schema);
      if (text !== null && valid !== null) assert.ok(valid(text), `${of.schema}\n${text}`);
    } else {
      counts.rejected++;
      assert.match(await rejectionMessage(of), /^response_format: /);
    }
  }
  assert.ok(counts.rejected > seeds / 3 && counts.accepted > seeds / 15, JSON.stringify(counts));
});
