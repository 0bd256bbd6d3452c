/** Trees for JSON objects: properties in the order of the schema, then additional ones. */

import { quoted } from "../grammar_error.ts";
import { choice, optional, repeat, sequence, text, type Tree } from "../tree.ts";
import { anyNameExcept, COLON, COMMA } from "./json_text.ts";
import {
  MAX_SUBSCHEMAS,
  ownKeyword,
  readCount,
  readList,
  readObject,
  rejectKeyword,
  rejectSchema,
  type Schema,
  type SubschemaTrees,
  valueTypesIn,
} from "./schema_reader.ts";

/** Limit on the names that additional properties must not have. */
const MAX_NAME_CHARS = 4000;

/** A property of an object. */
export interface Property {
  name: string;
  required: boolean;
  value: Tree;
}

/**
 * Builds the tree of an object.
 *
 * @param others Tree of the values of additional properties; `null` if none are allowed.
 */
export function objectTree(properties: readonly Property[], others: Tree | null): Tree {
  const other = others &&
    sequence(anyNameExcept(properties.map(({ name }) => name)), COLON, others);
  const moreOthers = other ? repeat(sequence(COMMA, other), 0, Infinity) : sequence();
  // `after` is the tree after a property, `first` the tree at the start of the object.
  let after = moreOthers;
  let first = other ? optional(sequence(other, moreOthers)) : sequence();
  for (const { name, required, value } of properties.toReversed()) {
    const property = sequence(text(JSON.stringify(name)), COLON, value);
    const rest = sequence(property, after);
    first = required ? rest : choice(rest, first);
    const next = sequence(COMMA, rest);
    after = required ? next : choice(next, after);
  }
  return sequence(text("{"), first, text("}"));
}

/** @throws GrammarError if the schema is malformed or not supported */
export function objectFromSchema(schema: Schema, subschemas: SubschemaTrees): Tree {
  const properties = readObject(schema, "properties") ?? {};
  const required = requiredNames(schema);
  const names = [...new Set([...Object.keys(properties), ...required])];
  if (names.length > MAX_SUBSCHEMAS) rejectSchema(schema, `more than ${MAX_SUBSCHEMAS} properties`);
  const others = additionalProperties(schema, subschemas);
  if (others !== null && names.join("").length > MAX_NAME_CHARS) {
    rejectSchema(
      schema,
      `with additional properties, names are limited to ${MAX_NAME_CHARS} characters in all`,
    );
  }
  const parts = names.map((name): Property => {
    if (Object.hasOwn(properties, name)) {
      const value = subschemas.of(properties[name], "properties", name);
      return { name, required: required.has(name), value };
    }
    if (others !== null) return { name, required: true, value: others };
    return rejectSchema(
      schema,
      `"required" lists ${quoted(name)}, which is not in "properties"`,
    );
  });
  assertCounts(schema, { required: required.size, most: others ? Infinity : names.length });
  return objectTree(parts, others);
}

/** Returns the tree of additional properties, or `null` if none are allowed. */
function additionalProperties(schema: Schema, subschemas: SubschemaTrees): Tree | null {
  const given = ownKeyword(schema, "additionalProperties");
  const allowed = given === undefined ? !valueTypesIn(schema).includes("object") : given;
  return allowed === false ? null : subschemas.of(allowed, "additionalProperties");
}

function requiredNames(schema: Schema): Set<string> {
  const names = readList(schema, "required", { empty: true }) ?? [];
  if (names.every((name) => typeof name === "string")) return new Set(names);
  return rejectKeyword(schema, "required", "a list of names");
}

/** Accepts property counts only if every generated object satisfies them. */
function assertCounts(
  schema: Schema,
  { required, most }: { required: number; most: number },
): void {
  const min = readCount(schema, "minProperties") ?? 0;
  const max = readCount(schema, "maxProperties") ?? Infinity;
  if (min > required) {
    rejectSchema(
      schema,
      '"minProperties" above the number of required properties is not supported',
    );
  }
  if (max < most) {
    rejectSchema(schema, '"maxProperties" below the number of properties is not supported');
  }
}
