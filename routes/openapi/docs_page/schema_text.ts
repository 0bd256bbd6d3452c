/** Schemas of an OpenAPI document in words, and values that fit them. */

import type { OpenApiDocument } from "../openapi_document.ts";

/** What is read of a schema; all of it may be absent. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  example?: unknown;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  anyOf?: Schema[];
  oneOf?: Schema[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
}

export class Schemas {
  readonly #named: Record<string, Schema>;

  constructor({ components }: OpenApiDocument) {
    this.#named = (components?.schemas ?? {}) as Record<string, Schema>;
  }

  /** The schema that a reference leads to. @throws Error where it leads nowhere */
  resolve(schema: Schema): Schema {
    if (schema.$ref === undefined) return schema;
    const found = this.#named[nameOf(schema.$ref)];
    if (found === undefined) throw new Error(`The document has no ${schema.$ref}`);
    return found;
  }

  /** `string or null`, `list of Message`, `one of a, b`. */
  typeName(schema: Schema): string {
    if (schema.$ref !== undefined) return nameOf(schema.$ref);
    const alternatives = schema.anyOf ?? schema.oneOf;
    if (alternatives !== undefined) {
      return [...new Set(alternatives.map((one) => this.typeName(one)))].join(" or ");
    }
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.enum !== undefined) {
      return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
    }
    const types = schema.type === undefined ? ["anything"] : [schema.type].flat();
    return types.map((type) => type === "array" ? this.#listOf(schema) : type).join(" or ");
  }

  /** The object's schema that a field holds, in a list or not, with what is to be said before it. */
  objectSchemas(schema: Schema): { label: string; schema: Schema }[] {
    const found = this.resolve(schema);
    const alternatives = found.anyOf ?? found.oneOf;
    if (alternatives !== undefined) return alternatives.flatMap((one) => this.objectSchemas(one));
    if (found.items !== undefined) return this.objectSchemas(found.items);
    if (found.properties === undefined) return [];
    return [{ label: schema.$ref === undefined ? "" : nameOf(schema.$ref), schema: found }];
  }

  /** A value that fits: the schema's own example, or one made of its fields' that are required. */
  exampleOf(schema: Schema): unknown {
    const found = this.resolve(schema);
    if (found.example !== undefined) return found.example;
    const [alternative] = found.anyOf ?? found.oneOf ?? [];
    if (alternative !== undefined) return this.exampleOf(alternative);
    if (found.items !== undefined) return [this.exampleOf(found.items)];
    if (found.properties === undefined) return found.enum?.[0] ?? found.const ?? {};
    const required = Object.entries(found.properties)
      .filter(([name]) => found.required?.includes(name));
    return Object.fromEntries(required.map(([name, field]) => [name, this.exampleOf(field)]));
  }

  #listOf({ items }: Schema): string {
    return items === undefined || Object.keys(items).length === 0
      ? "list"
      : `list of ${this.typeName(items)}`;
  }
}

/** `0 to 2`, `at least 1`, `at most 16 items`; empty where there are no bounds. */
export function formatBounds(schema: Schema): string {
  return [
    between(schema.minimum, schema.maximum, ""),
    between(schema.minLength, schema.maxLength, " characters"),
    between(schema.minItems, schema.maxItems, " items"),
    between(undefined, schema.maxProperties, " entries"),
  ].filter((text) => text !== "").join(", ");
}

function between(low: number | undefined, high: number | undefined, unit: string): string {
  const [from, to] = [low, high].map((bound) => bound?.toLocaleString("en"));
  if (from === undefined && to === undefined) return "";
  if (to === undefined) return `at least ${from}${unit}`;
  return from === undefined ? `at most ${to}${unit}` : `${from} to ${to}${unit}`;
}

function nameOf(ref: string): string {
  return ref.slice(ref.lastIndexOf("/") + 1);
}
