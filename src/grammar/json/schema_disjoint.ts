/** A conservative check that two schemas have no value in common. */

import { isObject } from "./schema_reader.ts";

/** Resolves a `$ref` to its schema. */
export type Resolve = (reference: string) => unknown;

/** Longest chain of references that is followed. */
const MAX_REFERENCES = 8;

/** Returns `true` only if no value matches both schemas. */
export function areDisjoint(a: unknown, b: unknown, resolve: Resolve): boolean {
  const [one, other] = [a, b].map((schema) => resolved(schema, resolve));
  if (one === null || other === null) return false;
  return differ(one, other) || differByProperty(one, other, resolve);
}

interface Facts {
  values: ReadonlySet<string> | null;
  types: ReadonlySet<string> | null;
}

/** Facts by schema: each option is compared with all others. */
const cache = new WeakMap<object, Facts>();

function factsOf(schema: Record<string, unknown>): Facts {
  const cached = cache.get(schema);
  if (cached) return cached;
  const values = valuesOf(schema);
  const types = typesOf(schema, values);
  const facts = { values: values && new Set(values), types: types && new Set(types) };
  cache.set(schema, facts);
  return facts;
}

/** Returns whether the types or the listed values of two schemas are disjoint. */
function differ(one: Record<string, unknown>, other: Record<string, unknown>): boolean {
  const [a, b] = [factsOf(one), factsOf(other)];
  if (a.values && b.values) return disjointSets(a.values, b.values);
  return a.types !== null && b.types !== null && disjointSets(a.types, b.types);
}

/** Replaces `Set.prototype.isDisjointFrom`, which not every runtime has. */
function disjointSets(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  for (const value of one) if (other.has(value)) return false;
  return true;
}

/** Returns whether a property that both schemas require has disjoint values. */
function differByProperty(
  one: Record<string, unknown>,
  other: Record<string, unknown>,
  resolve: Resolve,
): boolean {
  if (![one, other].every(({ type, nullable }) => type === "object" && !nullable)) return false;
  const names = [one, other].map(({ required }) => Array.isArray(required) ? required : []);
  return names[0].some((name) => {
    if (!names[1].includes(name)) return false;
    const [a, b] = [one, other].map(({ properties }) =>
      isObject(properties) && Object.hasOwn(properties, name)
        ? resolved(properties[name], resolve)
        : null
    );
    return a !== null && b !== null && differ(a, b);
  });
}

function resolved(schema: unknown, resolve: Resolve): Record<string, unknown> | null {
  let found = schema;
  for (let i = 0; i < MAX_REFERENCES && isObject(found) && typeof found.$ref === "string"; i++) {
    found = resolve(found.$ref);
  }
  return isObject(found) && !("$ref" in found) ? found : null;
}

/** Returns the listed values as JSON, or `null` if there are none or some are objects or arrays. */
function valuesOf(schema: Record<string, unknown>): string[] | null {
  const values = Object.hasOwn(schema, "const") ? [schema.const] : schema.enum;
  if (!Array.isArray(values)) return null;
  const scalar = values.every((value) => typeof value !== "object" || value === null);
  return scalar ? values.map((value) => JSON.stringify(value)) : null;
}

/** Returns the types of a schema's values, with integers as numbers; `null` if they are not limited. */
function typesOf(schema: Record<string, unknown>, values: string[] | null): string[] | null {
  if (values) return values.map((value) => typeName(JSON.parse(value)));
  if (schema.nullable === true || schema.type === undefined) return null;
  const types: unknown[] = [schema.type].flat();
  return types.map((type) => type === "integer" ? "number" : String(type));
}

/** Returns the JSON type of a value. */
export function typeName(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}
