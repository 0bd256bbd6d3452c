/**
 * JSON Schema as a grammar. What is written is valid by the schema, whatever else would be: objects
 * have their properties in the schema's order, and others only where it says so.
 */

import { allParts } from "../analysis.ts";
import { MAX_PARTS as MAX_GRAMMAR_PARTS } from "../build.ts";
import { GrammarError, quoted } from "../refusal.ts";
import { choice, type Grammar, text, type Tree } from "../tree.ts";
import { arrayBy, arrayOf } from "./json_array.ts";
import { numberBy } from "./json_number.ts";
import { objectBy, objectOf } from "./json_object.ts";
import { type KnownPatterns, stringBy } from "./json_string.ts";
import { NUMBER, oneOfValues, STRING } from "./json_text.ts";
import { disjoint, typeName } from "./schema_disjoint.ts";
import {
  assertionsIn,
  assertSupported,
  type Inner,
  isObject,
  kindsIn,
  listOf,
  MAX_PARTS,
  own,
  refuse,
  type Schema,
  string,
  within,
  wrong,
} from "./schema_reader.ts";

export interface JsonGrammar extends Grammar {
  /** Places of the rules. */
  names: readonly string[];
}

const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];

const MAX_CHARS = 65_536;
const MAX_SCHEMAS = 2000;
const MAX_DEPTH = 64;

/**
 * @param json The schema as JSON.
 * @throws Refusal that names the keyword and its place, for what can't be held
 */
export function parseSchema(json: string): JsonGrammar {
  if (json.length > MAX_CHARS) {
    throw new GrammarError(
      `the schema has ${json.length} characters, at most ${MAX_CHARS} are taken`,
    );
  }
  let schema: unknown;
  try {
    schema = JSON.parse(json);
  } catch {
    throw new GrammarError("the schema is not JSON");
  }
  return new Builder(schema).grammar();
}

/** Any object. */
export function anyObject(): JsonGrammar {
  return parseSchema('{"type":"object"}');
}

class Builder {
  readonly #whole: unknown;
  readonly #rules: Tree[] = [];
  /** Rules by the place of their schema. */
  readonly #named = new Map<string, number>();
  /** Schemas that are to become rules. */
  readonly #open: { rule: number; schema: unknown; place: string }[] = [];
  readonly #patterns: KnownPatterns = new Map();
  #schemas = 0;
  /** Parts of the numbers between bounds, which take hundreds each. */
  #numberParts = 0;

  constructor(schema: unknown) {
    this.#whole = schema;
  }

  grammar(): JsonGrammar {
    const root = this.#rule("#", this.#whole);
    for (let next = this.#open.pop(); next; next = this.#open.pop()) {
      this.#rules[next.rule] = this.#tree(next.schema, next.place, 0);
    }
    return { root, rules: this.#rules, names: [...this.#named.keys()] };
  }

  #rule(place: string, schema: unknown): Tree {
    let rule = this.#named.get(place);
    if (rule === undefined) {
      rule = this.#named.size;
      this.#named.set(place, rule);
      this.#open.push({ rule, schema, place });
    }
    return { type: "rule", rule };
  }

  /** Any value: `true` as a schema. */
  #any(): Tree {
    return this.#rule("any value", true);
  }

  #tree(value: unknown, place: string, depth: number): Tree {
    if (++this.#schemas > MAX_SCHEMAS) refuse({ place }, `more than ${MAX_SCHEMAS} schemas`);
    if (depth > MAX_DEPTH) refuse({ place }, `schemas are nested more than ${MAX_DEPTH} deep`);
    if (value === true) return place === "any value" ? this.#anything() : this.#any();
    if (value === false) refuse({ place }, "false allows nothing");
    if (!isObject(value)) refuse({ place }, "a schema must be an object, true or false");
    const schema: Schema = { keywords: value, place };
    assertSupported(schema);
    return this.#alone(schema, depth) ?? this.#ofTypes(schema, depth);
  }

  #anything(): Tree {
    const any = this.#any();
    return choice(
      objectOf([], any),
      arrayOf({ first: [], others: any, min: 0, max: Infinity }),
      STRING,
      NUMBER,
      text("true"),
      text("false"),
      text("null"),
    );
  }

  /** A schema of a keyword that bears no others beside it; `null` if it has none. */
  #alone(schema: Schema, depth: number): Tree | null {
    const assertions = assertionsIn(schema);
    if (assertions.includes("enum") || assertions.includes("const")) {
      this.#assertOnly(schema, assertions, ["enum", "const", "type"]);
      return this.#ofValues(schema);
    }
    const keyword = ["$ref", "anyOf", "oneOf", "allOf"].find((one) => assertions.includes(one));
    if (keyword === undefined) return null;
    this.#assertOnly(schema, assertions, [keyword]);
    if (keyword === "$ref") return this.#reference(schema);
    const options = listOf(schema, keyword)!;
    if (keyword === "allOf" && options.length > 1) {
      refuse(schema, '"allOf" is supported with one schema only; merge them');
    }
    if (keyword === "oneOf") this.#assertDisjoint(schema, options);
    return choice(
      ...options.map((option, i) =>
        this.#tree(option, within(schema.place, keyword, i), depth + 1)
      ),
    );
  }

  #assertOnly(schema: Schema, assertions: readonly string[], taken: readonly string[]): void {
    const other = assertions.find((keyword) => !taken.includes(keyword));
    if (other === undefined) return;
    const own = taken.find((keyword) => assertions.includes(keyword));
    refuse(schema, `"${other}" beside "${own}" is not supported; merge the two`);
  }

  #assertDisjoint(schema: Schema, options: readonly unknown[]): void {
    if (options.length > MAX_PARTS) refuse(schema, `"oneOf" has more than ${MAX_PARTS} schemas`);
    const resolve = (reference: string) => this.#find(reference, schema);
    options.forEach((option, i) => {
      const overlapping = options.findIndex((other, j) =>
        j < i && !disjoint(other, option, resolve)
      );
      if (overlapping < 0) return;
      refuse(
        schema,
        `"oneOf" is supported for options that differ in type, or in a constant property that both ` +
          `require; ${overlapping} and ${i} may not; use anyOf if any may match`,
      );
    });
  }

  #reference(schema: Schema): Tree {
    const reference = string(schema, "$ref")!;
    return this.#rule(pointerOf(reference), this.#find(reference, schema));
  }

  #find(reference: string, schema: Schema): unknown {
    const pointer = pointerOf(reference);
    if (pointer !== "#" && !pointer.startsWith("#/")) {
      refuse(schema, `"$ref" is supported within the schema only, and is ${quoted(reference)}`);
    }
    let found: unknown = this.#whole;
    for (const step of pointer.split("/").slice(1)) {
      const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
      const inside = isObject(found) || Array.isArray(found) ? found : {};
      if (!Object.hasOwn(inside, key)) refuse(schema, `"$ref" ${quoted(reference)} leads nowhere`);
      found = (inside as Record<string, unknown>)[key];
    }
    return found;
  }

  #ofValues(schema: Schema): Tree {
    const constant = own(schema, "const");
    const listed = listOf(schema, "enum") ?? [constant];
    const types = this.#types(schema);
    const values = listed.filter((value) =>
      (constant === undefined || JSON.stringify(constant) === JSON.stringify(value)) &&
      (types === null || types.some((type) => hasType(value, type)))
    );
    if (values.length === 0) refuse(schema, "no value of its list is allowed by all it says");
    return oneOfValues(values);
  }

  #types(schema: Schema): readonly string[] | null {
    const type = own(schema, "type");
    if (type === undefined) return null;
    const types: unknown[] = [type].flat();
    const known = types.filter((one): one is string => TYPES.includes(one as string));
    if (types.length === 0 || known.length < types.length) {
      wrong(schema, "type", `one or a list of ${TYPES.join(", ")}`);
    }
    return own(schema, "nullable") === true ? [...known, "null"] : known;
  }

  #ofTypes(schema: Schema, depth: number): Tree {
    const kinds = kindsIn(schema);
    const types = this.#types(schema) ?? kinds;
    if (types.length === 0) return this.#any();
    return choice(...[...new Set(types)].map((type) => this.#ofType(type, schema, depth)));
  }

  #counted(tree: Tree): Tree {
    this.#numberParts += allParts([tree]).size;
    if (this.#numberParts <= MAX_GRAMMAR_PARTS) return tree;
    const most = `at most ${MAX_GRAMMAR_PARTS} are taken`;
    throw new GrammarError(`its bounds come to ${this.#numberParts} parts, ${most}`);
  }

  #ofType(type: string, schema: Schema, depth: number): Tree {
    const inner: Inner = {
      any: () => this.#any(),
      of: (value, ...steps) => this.#tree(value, within(schema.place, ...steps), depth + 1),
    };
    switch (type) {
      case "object":
        return objectBy(schema, inner);
      case "array":
        return arrayBy(schema, inner);
      case "string":
        return stringBy(schema, this.#patterns);
      case "number":
      case "integer":
        return this.#counted(numberBy(schema, type === "integer"));
      case "boolean":
        return choice(text("true"), text("false"));
      default:
        return text("null");
    }
  }
}

/** The fragment of a reference, as a JSON pointer. */
function pointerOf(reference: string): string {
  try {
    return decodeURIComponent(reference);
  } catch {
    return reference;
  }
}

function hasType(value: unknown, type: string): boolean {
  return type === "integer" ? Number.isInteger(value) : typeName(value) === type;
}
