/** Numbers within bounds, compared with plain arithmetic. */

import assert from "node:assert/strict";
import { seeded } from "../support/random_data.ts";
import { accepts, generateText, ofSchema, rejectionMessage, schemaValidator } from "./fixtures.ts";

const BOUNDS: Record<string, number>[] = [
  {},
  { minimum: 0 },
  { maximum: -3 },
  { minimum: 3, maximum: 77 },
  { minimum: -5, maximum: 5 },
  { minimum: -120, maximum: -7 },
  { exclusiveMinimum: 0, exclusiveMaximum: 2 },
  { minimum: 0.25, maximum: 10.5 },
  { exclusiveMinimum: -0.1, maximum: 0.05 },
  { minimum: 99.5, exclusiveMaximum: 1000 },
  { minimum: 7, maximum: 7 },
  { minimum: -1e-7, maximum: 1e-7 },
  { minimum: 1e14 },
  { maximum: 1e300, minimum: -9007199254740993 },
  { minimum: 3, exclusiveMinimum: 5, maximum: 20, exclusiveMaximum: 12 },
  { exclusiveMinimum: 9.999999999999998 },
];

/** Formats numbers the way people write them. */
const WRITTEN = [
  ...["0", "1", "5", "6", "7", "-7", "9", "10", "11", "12", "-5", "-6", "-3", "-120", "-121"],
  ...["0.5", "0.25", "0.249", "10.5", "10.51", "-0.1", "-0.09", "0.05", "0.051", "99.5", "99.49"],
  ...["999.999", "1000", "77", "77.0", "77.01", "7.0", "0.0000001", "1.0", "3.14", "12345.678"],
  ...["100000000000000", "999999999999999", "-2.50"],
];

Deno.test("numbers are accepted according to their bounds", async () => {
  for (const bounds of BOUNDS) {
    for (const type of ["number", "integer"]) {
      const schema = { type, ...bounds };
      const [valid, of] = [schemaValidator(schema), ofSchema(schema)];
      for (const text of WRITTEN) {
        const whole = /^-?\d+$/.test(text);
        const wanted = valid(text) && (whole || type === "number");
        assert.equal(await accepts(of, text), wanted, `${JSON.stringify(schema)} ${text}`);
      }
    }
  }
});

Deno.test("random texts are numbers within the bounds", async () => {
  const random = seeded(5);
  for (const bounds of BOUNDS) {
    for (const type of ["number", "integer"]) {
      const schema = { type, ...bounds };
      const valid = schemaValidator(schema);
      for (let i = 0; i < 12; i++) {
        const text = await generateText(ofSchema(schema), random, 200);
        assert.ok(text !== null && valid(text), `${JSON.stringify(schema)} ${text}`);
      }
    }
  }
});

Deno.test("small integers are accepted exactly within random bounds", async () => {
  const random = seeded(6);
  for (let i = 0; i < 40; i++) {
    const minimum = Math.floor(300 * random()) - 150;
    const maximum = minimum + Math.floor(150 * random());
    const of = ofSchema({ type: "integer", minimum, maximum });
    for (const near of [minimum, maximum]) {
      for (let value = near - 12; value <= near + 12; value++) {
        const wanted = minimum <= value && value <= maximum;
        assert.equal(await accepts(of, `${value}`), wanted, `${minimum} ${maximum} ${value}`);
      }
    }
  }
});

Deno.test("other spellings and infinite numbers are rejected", async () => {
  for (const text of ["01", "-", "1.", ".5", "+1", "1e", "1e999", "NaN", "0x1", "-01", "--1"]) {
    assert.ok(!await accepts(ofSchema({ type: "number" }), text), text);
  }
  for (const text of ["-0", "1e5", "-1.5E-10", "0.0"]) {
    assert.ok(await accepts(ofSchema({ type: "number" }), text), text);
  }
});

Deno.test("empty ranges are rejected", async () => {
  for (
    const bounds of [
      { minimum: 2, maximum: 1 },
      { exclusiveMinimum: 1, exclusiveMaximum: 2 },
      { minimum: 1e16 },
      { minimum: 0.4, maximum: 0.6 },
    ]
  ) {
    const message = await rejectionMessage(ofSchema({ type: "integer", ...bounds }));
    assert.match(message, /^response_format: at "#": no number/);
  }
});
