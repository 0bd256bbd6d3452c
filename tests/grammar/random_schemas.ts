/** Random JSON schemas of all supported keywords, determined by a seed. */

import { Random } from "../support/random_data.ts";

export type JsonSchema = Record<string, unknown>;

const NAMES = ["name", "age", "größe", "a b", 'q"uote', "名前", "🎈", "x/y~z", "back\\slash", ""];
const PATTERNS = [
  "^[a-zé]{1,5}$",
  "^(foo|bär|日本)+?x?$",
  "^\\d{2}-\\d{2}$",
  '^[^\\s"]{1,4}$',
  "^\\w+@\\w{2,3}\\.com$|^-$",
  "^.{2,4}$",
  '^"\\\\?"$',
];
const VALUES = ["red", "grün", 'say "hi"', "\n", "🎈", 0, -1.5, 1e21, true, null, [1, "é"], {
  k: {},
}];

/**
 * Creates a schema, usually of an object, with definitions that it references.
 *
 * @param depth Maximum nesting depth.
 */
export function randomSchema(seed: number, depth = 3): JsonSchema {
  const random = new Random(seed);
  const root = random.chance(0.6) ? objectSchema(random, depth) : schema(random, depth);
  if (!JSON.stringify(root).includes("#/$defs/")) return root;
  const leaf = schema(random, 0);
  const node = {
    type: "object",
    properties: { leaf: { $ref: "#/$defs/leaf" }, next: { $ref: "#/$defs/node" } },
    required: ["leaf"],
    additionalProperties: false,
  };
  const list = { type: "array", items: { anyOf: [leaf, { $ref: "#/$defs/list" }] }, maxItems: 2 };
  return { ...root, $defs: { leaf, node, list } };
}

function schema(random: Random, depth: number): JsonSchema {
  const leaves = [stringSchema, numberSchema, valuesSchema, plainSchema];
  const inner = [objectSchema, arraySchema, choiceSchema, referenceSchema];
  const make = random.of(depth === 0 ? leaves : [...leaves, ...inner]);
  return { ...make(random, depth - 1), ...random.chance(0.1) ? { title: "T", default: 1 } : {} };
}

function objectSchema(random: Random, depth: number): JsonSchema {
  const names = random.some(NAMES, random.below(4));
  const required = names.filter(() => random.chance(0.6));
  const properties = Object.fromEntries(names.map((name) => [name, schema(random, depth)]));
  const others = random.of([false, false, false, undefined, undefined, { type: "boolean" }]);
  return {
    type: "object",
    properties,
    ...required.length > 0 ? { required } : {},
    ...others === undefined ? {} : { additionalProperties: others },
  };
}

function arraySchema(random: Random, depth: number): JsonSchema {
  const minItems = random.below(3);
  const items = schema(random, depth);
  const sizes = { minItems, maxItems: minItems + random.below(3) };
  if (random.chance(0.7)) return { type: "array", items, ...sizes };
  const prefixItems = [schema(random, depth), schema(random, depth)];
  return { type: "array", prefixItems, items, ...sizes };
}

function choiceSchema(random: Random, depth: number): JsonSchema {
  if (random.chance(0.7)) return { anyOf: [schema(random, depth), schema(random, depth)] };
  const kinds = ["circle", "dreieck"].map((kind) => ({
    type: "object",
    properties: { kind: { const: kind }, size: schema(random, 0) },
    required: ["kind", "size"],
    additionalProperties: false,
  }));
  return { oneOf: kinds };
}

function referenceSchema(random: Random): JsonSchema {
  return { $ref: `#/$defs/${random.of(["leaf", "node", "list"])}` };
}

function stringSchema(random: Random): JsonSchema {
  const type = random.chance(0.2) ? ["string", "null"] : "string";
  if (random.chance(0.4)) return { type, pattern: random.of(PATTERNS) };
  const minLength = random.below(4);
  return { type, minLength, maxLength: minLength + random.below(8) };
}

function numberSchema(random: Random): JsonSchema {
  const type = random.of(["integer", "number"]);
  const whole = type === "integer" || random.chance(0.3);
  const bound = () => {
    const size = 10 ** random.below(6);
    const value = (random.below(2001) - 1000) * size / 1000;
    return whole ? Math.round(value) : value;
  };
  const low = bound();
  const [minimum, maximum] = [low, low + 1 + Math.abs(bound())];
  return {
    type,
    ...random.chance(0.7) ? { [random.of(["minimum", "exclusiveMinimum"])]: minimum } : {},
    ...random.chance(0.7) ? { [random.of(["maximum", "exclusiveMaximum"])]: maximum + 1 } : {},
  };
}

function valuesSchema(random: Random): JsonSchema {
  if (random.chance(0.3)) return { const: random.of(VALUES) };
  return { enum: random.some(VALUES, 1 + random.below(4)) };
}

function plainSchema(random: Random): JsonSchema {
  return random.of<JsonSchema>([
    { type: "boolean" },
    { type: "null" },
    { type: "integer" },
    { type: ["boolean", "null"] },
    { type: "integer", nullable: true },
  ]);
}
