/** Random malformed schemas, determined by a seed. */

import { seeded } from "../support/random_data.ts";
import { randomSchema } from "./random_schemas.ts";

const JUNK: readonly unknown[] = [
  null,
  true,
  false,
  "",
  "#",
  "#/$defs/leaf",
  "string",
  "(((",
  "^a{1000000}$",
  "\ud800",
  -1,
  0.5,
  1e300,
  2 ** 53,
  [],
  {},
  [[]],
  ["string", 5],
  [{}, false],
  { $ref: "#" },
  { type: "object", properties: [] },
  { properties: { a: { $ref: 5 } } },
];

const KEYWORDS = [
  ...["type", "properties", "required", "additionalProperties", "items", "prefixItems", "enum"],
  ...["minItems", "maxItems", "minLength", "maxLength", "pattern", "format", "minimum", "maximum"],
  ...["exclusiveMinimum", "const", "anyOf", "oneOf", "allOf", "$ref", "$defs", "not", "if", "$id"],
  ...["uniqueItems", "multipleOf", "contains", "nullable", "minProperties", "maxProperties"],
];

/** Creates a schema with some values replaced and some keywords added at random. */
export function wrongSchema(seed: number): Record<string, unknown> {
  const random = seeded(seed);
  const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)];
  const spoilt = (value: unknown): unknown => {
    if (random() < 0.08) return one(JUNK);
    if (Array.isArray(value)) return value.map(spoilt);
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).map(([key, inner]) => [key, spoilt(inner)]);
    if (random() < 0.15) entries.push([one(KEYWORDS), one(JUNK)]);
    return Object.fromEntries(entries);
  };
  const schema = spoilt({ ...randomSchema(seed), [one(KEYWORDS)]: one(JUNK) });
  return typeof schema === "object" && !Array.isArray(schema) ? { ...schema } : { anyOf: schema };
}
