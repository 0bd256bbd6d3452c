/** Whether two schemas have no value in common, as far as that can be told at a glance. */

import { isObject } from "./schema_reader.ts";

/** Finds the schema that a reference names. */
export type Resolve = (reference: string) => unknown;

/** References that are followed, from one to the next. */
const MAX_REFERENCES = 8;

export function disjoint(a: unknown, b: unknown, resolve: Resolve): boolean {
  const [one, other] = [a, b].map((schema) => followed(schema, resolve));
  if (one === null || other === null) return false;
  return differ(one, other) || apartByProperty(one, other, resolve);
}

interface Facts {
  values: ReadonlySet<string> | null;
  types: ReadonlySet<string> | null;
}

/** What has been told of schemas: each option is held against all others. */
const known = new WeakMap<object, Facts>();

function factsOf(schema: Record<string, unknown>): Facts {
  const before = known.get(schema);
  if (before) return before;
  const values = valuesOf(schema);
  const types = typesOf(schema, values);
  const facts = { values: values && new Set(values), types: types && new Set(types) };
  known.set(schema, facts);
  return facts;
}

/** Whether types or listed values tell two schemas apart. */
function differ(one: Record<string, unknown>, other: Record<string, unknown>): boolean {
  const [a, b] = [factsOf(one), factsOf(other)];
  if (a.values && b.values) return apart(a.values, b.values);
  return a.types !== null && b.types !== null && apart(a.types, b.types);
}

/** Sets tell it themselves, but not yet everywhere. */
function apart(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  for (const value of one) if (other.has(value)) return false;
  return true;
}

/** Whether a property that both must have tells them apart. */
function apartByProperty(
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
        ? followed(properties[name], resolve)
        : null
    );
    return a !== null && b !== null && differ(a, b);
  });
}

function followed(schema: unknown, resolve: Resolve): Record<string, unknown> | null {
  let found = schema;
  for (let i = 0; i < MAX_REFERENCES && isObject(found) && typeof found.$ref === "string"; i++) {
    found = resolve(found.$ref);
  }
  return isObject(found) && !("$ref" in found) ? found : null;
}

/** The values of a schema that lists them, as JSON, which may be compared unless they have parts. */
function valuesOf(schema: Record<string, unknown>): string[] | null {
  const values = Object.hasOwn(schema, "const") ? [schema.const] : schema.enum;
  if (!Array.isArray(values)) return null;
  const whole = values.every((value) => typeof value !== "object" || value === null);
  return whole ? values.map((value) => JSON.stringify(value)) : null;
}

/** Types that its values may have; integers are numbers here. */
function typesOf(schema: Record<string, unknown>, values: string[] | null): string[] | null {
  if (values) return values.map((value) => typeName(JSON.parse(value)));
  if (schema.nullable === true || schema.type === undefined) return null;
  const types: unknown[] = [schema.type].flat();
  return types.map((type) => type === "integer" ? "number" : String(type));
}

export function typeName(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}
