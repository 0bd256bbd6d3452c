/** Describes schemas of an OpenAPI document, and generates example values. */

import type { OpenApiDocument } from "../openapi_document.ts";

/** The parts of a schema that the page shows. */
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

  /** Resolves a reference. @throws Error if its target does not exist */
  resolve(schema: Schema): Schema {
    if (schema.$ref === undefined) return schema;
    const found = this.#named[nameOf(schema.$ref)];
    if (found === undefined) throw new Error(`The document has no ${schema.$ref}`);
    return found;
  }

  /** Returns the type as text: `string or null`, `list of Message`, `"a" or "b"`. */
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

  /** Returns the object schemas of a field or of its list items, each with a label. */
  objectSchemas(schema: Schema): { label: string; schema: Schema }[] {
    const found = this.resolve(schema);
    const alternatives = found.anyOf ?? found.oneOf;
    if (alternatives !== undefined) return alternatives.flatMap((one) => this.objectSchemas(one));
    if (found.items !== undefined) return this.objectSchemas(found.items);
    if (found.properties === undefined) return [];
    return [{ label: schema.$ref === undefined ? "" : nameOf(schema.$ref), schema: found }];
  }

  /** Returns the schema's example, or one built from the examples of its required fields. */
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

/** Returns limits as text: `0 to 2`, `at least 1`, `at most 16 items`; empty if there are none. */
export function formatBounds(schema: Schema): string {
  return [
    rangeText(schema.minimum, schema.maximum, ""),
    rangeText(schema.minLength, schema.maxLength, " characters"),
    rangeText(schema.minItems, schema.maxItems, " items"),
    rangeText(undefined, schema.maxProperties, " entries"),
  ].filter((text) => text !== "").join(", ");
}

function rangeText(low: number | undefined, high: number | undefined, unit: string): string {
  const [from, to] = [low, high].map((bound) => bound?.toLocaleString("en"));
  if (from === undefined && to === undefined) return "";
  if (to === undefined) return `at least ${from}${unit}`;
  return from === undefined ? `at most ${to}${unit}` : `${from} to ${to}${unit}`;
}

function nameOf(ref: string): string {
  return ref.slice(ref.lastIndexOf("/") + 1);
}
