/** Objects: their properties in the order of the schema, then others where it allows some. */

import { quoted } from "../refusal.ts";
import { choice, optional, repeat, sequence, text, type Tree } from "../tree.ts";
import { COLON, COMMA, otherName } from "./json_text.ts";
import {
  count,
  type Inner,
  kindsIn,
  listOf,
  MAX_PARTS,
  object,
  own,
  refuse,
  type Schema,
  wrong,
} from "./schema_reader.ts";

/** Of the names that other properties must not have. */
const MAX_NAME_CHARS = 4000;

export interface Property {
  name: string;
  required: boolean;
  value: Tree;
}

/** @param others What properties hold that have none of these names; `null` if there are none. */
export function objectOf(properties: readonly Property[], others: Tree | null): Tree {
  const other = others &&
    sequence(otherName(properties.map(({ name }) => name)), COLON, others);
  const moreOthers = other ? repeat(sequence(COMMA, other), 0, Infinity) : sequence();
  /** What may follow a property, and what may come first. */
  let after = moreOthers;
  let first = other ? optional(sequence(other, moreOthers)) : sequence();
  for (const { name, required, value } of properties.toReversed()) {
    const property = sequence(text(JSON.stringify(name)), COLON, value);
    const led = sequence(property, after);
    first = required ? led : choice(led, first);
    const next = sequence(COMMA, led);
    after = required ? next : choice(next, after);
  }
  return sequence(text("{"), first, text("}"));
}

/** @throws Refusal for what can't be held */
export function objectBy(schema: Schema, inner: Inner): Tree {
  const properties = object(schema, "properties") ?? {};
  const required = requiredBy(schema);
  const names = [...new Set([...Object.keys(properties), ...required])];
  if (names.length > MAX_PARTS) refuse(schema, `more than ${MAX_PARTS} properties`);
  const others = othersBy(schema, inner);
  if (others !== null && names.join("").length > MAX_NAME_CHARS) {
    refuse(schema, `beside other properties, names have ${MAX_NAME_CHARS} characters at most`);
  }
  const parts = names.map((name): Property => {
    if (Object.hasOwn(properties, name)) {
      const value = inner.of(properties[name], "properties", name);
      return { name, required: required.has(name), value };
    }
    if (others !== null) return { name, required: true, value: others };
    return refuse(schema, `"required" names ${quoted(name)}, which "properties" does not have`);
  });
  assertCounts(schema, { required: required.size, most: others ? Infinity : names.length });
  return objectOf(parts, others);
}

/** What properties without a description hold; `null` if there may be none. */
function othersBy(schema: Schema, inner: Inner): Tree | null {
  const given = own(schema, "additionalProperties");
  const allowed = given === undefined ? !kindsIn(schema).includes("object") : given;
  return allowed === false ? null : inner.of(allowed, "additionalProperties");
}

function requiredBy(schema: Schema): Set<string> {
  const names = listOf(schema, "required", { empty: true }) ?? [];
  if (names.every((name) => typeof name === "string")) return new Set(names);
  return wrong(schema, "required", "a list of names");
}

/** Takes counts of properties that hold whatever is written. */
function assertCounts(
  schema: Schema,
  { required, most }: { required: number; most: number },
): void {
  const min = count(schema, "minProperties") ?? 0;
  const max = count(schema, "maxProperties") ?? Infinity;
  if (min > required) {
    refuse(schema, '"minProperties" above the number of required properties is not supported');
  }
  if (max < most) {
    refuse(schema, '"maxProperties" below the number of properties is not supported');
  }
}
