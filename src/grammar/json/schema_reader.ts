/** Reads JSON Schema's keywords, and refuses what can't be held, naming where it stands. */

import { abbreviated, GrammarError, quoted } from "../refusal.ts";
import type { Tree } from "../tree.ts";

/** A schema that is an object, and its place in the whole as a JSON pointer. */
export interface Schema {
  keywords: Readonly<Record<string, unknown>>;
  place: string;
}

/** Makes trees of the schemas within one. */
export interface Inner {
  /** @param steps From the schema to the one within it. */
  of(value: unknown, ...steps: readonly (string | number)[]): Tree;
  /** Of any value. */
  any(): Tree;
}

/** Properties, items or options of one schema that are told one by one. */
export const MAX_PARTS = 400;

/** Keywords that say what is valid and that no grammar here can hold. */
const UNSUPPORTED = new Set([
  "not",
  "if",
  "then",
  "else",
  "patternProperties",
  "propertyNames",
  "dependentRequired",
  "dependentSchemas",
  "dependencies",
  "contains",
  "minContains",
  "maxContains",
  "unevaluatedItems",
  "additionalItems",
  "$dynamicRef",
  "$dynamicAnchor",
  "$recursiveRef",
  "$recursiveAnchor",
  "$anchor",
]);

/** Those of them that say nothing where they have no names. */
const BY_NAME = ["patternProperties", "dependentRequired", "dependentSchemas", "dependencies"];

/** Keywords of each kind of values. Those that are unknown say nothing of what is valid. */
const KEYWORDS_OF: Readonly<Record<string, readonly string[]>> = {
  object: [
    "properties",
    "required",
    "additionalProperties",
    "unevaluatedProperties",
    "minProperties",
    "maxProperties",
  ],
  array: ["items", "prefixItems", "minItems", "maxItems", "uniqueItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
};

const KINDS = Object.keys(KEYWORDS_OF);

const OF_ALL_KINDS = ["type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf"];

/** Kinds of values that a schema has keywords for. */
export function kindsIn({ keywords }: Schema): string[] {
  return KINDS.filter((kind) =>
    KEYWORDS_OF[kind].some((keyword) => Object.hasOwn(keywords, keyword))
  );
}

/** Keywords of a schema that say what is valid. */
export function assertionsIn({ keywords }: Schema): string[] {
  const all = [...OF_ALL_KINDS, ...Object.values(KEYWORDS_OF).flat()];
  return all.filter((keyword) => Object.hasOwn(keywords, keyword));
}

/** @throws Refusal for keywords that can't be held */
export function assertSupported(schema: Schema): void {
  for (const [keyword, value] of Object.entries(schema.keywords)) {
    if (!UNSUPPORTED.has(keyword) || (BY_NAME.includes(keyword) && isEmpty(value))) continue;
    refuse(schema, `the keyword ${quoted(keyword)} is not supported`);
  }
  const { $id, uniqueItems, unevaluatedProperties } = schema.keywords;
  if ($id !== undefined && schema.place !== "#") {
    refuse(schema, '"$id" is supported at the root only');
  }
  if (uniqueItems === true) refuse(schema, 'the keyword "uniqueItems" is not supported');
  if (unevaluatedProperties !== undefined && unevaluatedProperties !== false) {
    refuse(schema, 'the keyword "unevaluatedProperties" is supported only as false');
  }
}

function isEmpty(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function refuse({ place }: Pick<Schema, "place">, problem: string): never {
  throw new GrammarError(`at ${quoted(place)}: ${problem}`);
}

/** The value of a keyword that must be a whole number, 0 or more. */
export function count(schema: Schema, keyword: string): number | undefined {
  const value = number(schema, keyword);
  if (value === undefined || (Number.isInteger(value) && value >= 0)) return value;
  return wrong(schema, keyword, "a whole number, 0 or more");
}

export function number(schema: Schema, keyword: string): number | undefined {
  const value = own(schema, keyword);
  if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
  return wrong(schema, keyword, "a number");
}

export function string(schema: Schema, keyword: string): string | undefined {
  const value = own(schema, keyword);
  return value === undefined || typeof value === "string"
    ? value
    : wrong(schema, keyword, "a string");
}

/** The value of a keyword that must be a list, of at least one value unless `empty` is told. */
export function listOf(
  schema: Schema,
  keyword: string,
  { empty = false } = {},
): readonly unknown[] | undefined {
  const value = own(schema, keyword);
  if (value === undefined || (Array.isArray(value) && (empty || value.length > 0))) return value;
  return wrong(schema, keyword, empty ? "a list" : "a list that is not empty");
}

export function object(schema: Schema, keyword: string): Record<string, unknown> | undefined {
  const value = own(schema, keyword);
  return value === undefined || isObject(value) ? value : wrong(schema, keyword, "an object");
}

export function wrong(schema: Schema, keyword: string, expected: string): never {
  return refuse(
    schema,
    `"${keyword}" must be ${expected}, and is ${abbreviated(schema.keywords[keyword])}`,
  );
}

/** A keyword's own value: what an object inherits is no keyword. */
export function own({ keywords }: Schema, keyword: string): unknown {
  return Object.hasOwn(keywords, keyword) ? keywords[keyword] : undefined;
}

/** The place of a part of a schema. */
export function within(place: string, ...steps: readonly (string | number)[]): string {
  const escaped = steps.map((step) => `${step}`.replaceAll("~", "~0").replaceAll("/", "~1"));
  return [place, ...escaped].join("/");
}
