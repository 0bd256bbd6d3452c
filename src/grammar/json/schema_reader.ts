/** Reads JSON Schema keywords. Unsupported ones are rejected with a JSON pointer to their place. */

import { abbreviated, GrammarError, quoted } from "../grammar_error.ts";
import type { Tree } from "../tree.ts";

/** An object schema, and its JSON pointer within the whole schema. */
export interface Schema {
  keywords: Readonly<Record<string, unknown>>;
  pointer: string;
}

/** Builds the trees of the subschemas of a schema. */
export interface SubschemaTrees {
  /** @param steps Path from the schema to the subschema. */
  of(value: unknown, ...steps: readonly (string | number)[]): Tree;
  /** Returns the tree of any JSON value. */
  any(): Tree;
}

/** Maximum number of properties, prefix items or options of one schema. */
export const MAX_SUBSCHEMAS = 400;

/** Validation keywords that no grammar here can enforce. */
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

/** Unsupported keywords that have no effect when their value is an empty object. */
const INERT_IF_EMPTY = [
  "patternProperties",
  "dependentRequired",
  "dependentSchemas",
  "dependencies",
];

/** Validation keywords by type of value. Unknown keywords are annotations and are ignored. */
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

const VALUE_TYPES = Object.keys(KEYWORDS_OF);

const FOR_ALL_TYPES = ["type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf"];

/** Returns the types of values for which a schema has keywords. */
export function valueTypesIn({ keywords }: Schema): string[] {
  return VALUE_TYPES.filter((type) =>
    KEYWORDS_OF[type].some((keyword) => Object.hasOwn(keywords, keyword))
  );
}

/** Returns the validation keywords of a schema. */
export function assertionKeywordsIn({ keywords }: Schema): string[] {
  const all = [...FOR_ALL_TYPES, ...Object.values(KEYWORDS_OF).flat()];
  return all.filter((keyword) => Object.hasOwn(keywords, keyword));
}

/** @throws GrammarError if the schema has keywords that are not supported */
export function assertSupported(schema: Schema): void {
  for (const [keyword, value] of Object.entries(schema.keywords)) {
    if (!UNSUPPORTED.has(keyword) || (INERT_IF_EMPTY.includes(keyword) && isEmpty(value))) continue;
    rejectSchema(schema, `the keyword ${quoted(keyword)} is not supported`);
  }
  const { $id, uniqueItems, unevaluatedProperties } = schema.keywords;
  if ($id !== undefined && schema.pointer !== "#") {
    rejectSchema(schema, '"$id" is supported at the root only');
  }
  if (uniqueItems === true) rejectSchema(schema, 'the keyword "uniqueItems" is not supported');
  if (unevaluatedProperties !== undefined && unevaluatedProperties !== false) {
    rejectSchema(schema, 'the keyword "unevaluatedProperties" is supported only as false');
  }
}

function isEmpty(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}

/** Returns whether a JSON value is an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Throws a GrammarError with the JSON pointer of the schema. */
export function rejectSchema({ pointer }: Pick<Schema, "pointer">, problem: string): never {
  throw new GrammarError(`at ${quoted(pointer)}: ${problem}`);
}

/** Reads a keyword that must be a non-negative integer. */
export function readCount(schema: Schema, keyword: string): number | undefined {
  const value = readNumber(schema, keyword);
  if (value === undefined || (Number.isInteger(value) && value >= 0)) return value;
  return rejectKeyword(schema, keyword, "a non-negative integer");
}

/** Reads a keyword that must be a number. */
export function readNumber(schema: Schema, keyword: string): number | undefined {
  const value = ownKeyword(schema, keyword);
  if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
  return rejectKeyword(schema, keyword, "a number");
}

/** Reads a keyword that must be a string. */
export function readString(schema: Schema, keyword: string): string | undefined {
  const value = ownKeyword(schema, keyword);
  return value === undefined || typeof value === "string"
    ? value
    : rejectKeyword(schema, keyword, "a string");
}

/** Reads a keyword that must be an array; an empty one is accepted only with `empty`. */
export function readList(
  schema: Schema,
  keyword: string,
  { empty = false } = {},
): readonly unknown[] | undefined {
  const value = ownKeyword(schema, keyword);
  if (value === undefined || (Array.isArray(value) && (empty || value.length > 0))) return value;
  return rejectKeyword(schema, keyword, empty ? "an array" : "a non-empty array");
}

/** Reads a keyword that must be an object. */
export function readObject(schema: Schema, keyword: string): Record<string, unknown> | undefined {
  const value = ownKeyword(schema, keyword);
  return value === undefined || isObject(value)
    ? value
    : rejectKeyword(schema, keyword, "an object");
}

/** Throws a GrammarError for a keyword whose value has the wrong type. */
export function rejectKeyword(schema: Schema, keyword: string, expected: string): never {
  return rejectSchema(
    schema,
    `"${keyword}" must be ${expected}, but is ${abbreviated(schema.keywords[keyword])}`,
  );
}

/** Returns the value of a keyword. Inherited properties, such as `constructor`, are not keywords. */
export function ownKeyword({ keywords }: Schema, keyword: string): unknown {
  return Object.hasOwn(keywords, keyword) ? keywords[keyword] : undefined;
}

/** Returns the JSON pointer of a subschema. */
export function childPointer(pointer: string, ...steps: readonly (string | number)[]): string {
  const escaped = steps.map((step) => `${step}`.replaceAll("~", "~0").replaceAll("/", "~1"));
  return [pointer, ...escaped].join("/");
}
