/**
 * Compiles JSON Schema to a grammar. Every generated text is valid, but not every valid text can be
 * generated: properties are in the schema's order, and others only if the schema requests them.
 */

import { allSubtrees } from "../analysis.ts";
import { MAX_GRAMMAR_PARTS } from "../build.ts";
import { GrammarError, quoted } from "../grammar_error.ts";
import { choice, type Grammar, text, type Tree } from "../tree.ts";
import { arrayFromSchema, arrayTree } from "./json_array.ts";
import { numberFromSchema } from "./json_number.ts";
import { objectFromSchema, objectTree } from "./json_object.ts";
import { type PatternCache, stringFromSchema } from "./json_string.ts";
import { NUMBER, oneOfValues, STRING } from "./json_text.ts";
import { areDisjoint, typeName } from "./schema_disjoint.ts";
import {
  assertionKeywordsIn,
  assertSupported,
  childPointer,
  isObject,
  MAX_SUBSCHEMAS,
  ownKeyword,
  readList,
  readString,
  rejectKeyword,
  rejectSchema,
  type Schema,
  type SubschemaTrees,
  valueTypesIn,
} from "./schema_reader.ts";

/** A grammar for JSON texts. */
export interface JsonGrammar extends Grammar {
  /** JSON pointers of the rules' schemas, by index. */
  ruleNames: readonly string[];
}

const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];

const MAX_CHARS = 65_536;
const MAX_SCHEMAS = 2000;
const MAX_DEPTH = 64;

/**
 * Compiles a schema.
 *
 * @param json The schema as JSON.
 * @throws GrammarError with the keyword and its place if the schema is malformed or not supported
 */
export function parseSchema(json: string): JsonGrammar {
  if (json.length > MAX_CHARS) {
    throw new GrammarError(
      `the schema has ${json.length} characters; the maximum is ${MAX_CHARS}`,
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

/** Returns the grammar of any JSON object. */
export function anyObjectGrammar(): JsonGrammar {
  return parseSchema('{"type":"object"}');
}

class Builder {
  readonly #whole: unknown;
  readonly #rules: Tree[] = [];
  /** Rules by the JSON pointer of their schema. */
  readonly #ruleOf = new Map<string, number>();
  /** Schemas whose rules are not built yet. */
  readonly #pending: { rule: number; schema: unknown; pointer: string }[] = [];
  readonly #patterns: PatternCache = new Map();
  #schemas = 0;
  /** Subtrees of bounded numbers, which take hundreds each. */
  #numberParts = 0;

  constructor(schema: unknown) {
    this.#whole = schema;
  }

  grammar(): JsonGrammar {
    const root = this.#rule("#", this.#whole);
    for (let next = this.#pending.pop(); next; next = this.#pending.pop()) {
      this.#rules[next.rule] = this.#tree(next.schema, next.pointer, 0);
    }
    return { root, rules: this.#rules, ruleNames: [...this.#ruleOf.keys()] };
  }

  #rule(pointer: string, schema: unknown): Tree {
    let rule = this.#ruleOf.get(pointer);
    if (rule === undefined) {
      rule = this.#ruleOf.size;
      this.#ruleOf.set(pointer, rule);
      this.#pending.push({ rule, schema, pointer });
    }
    return { type: "rule", rule };
  }

  /** Returns the rule for any value, the schema `true`. */
  #any(): Tree {
    return this.#rule("any value", true);
  }

  #tree(value: unknown, pointer: string, depth: number): Tree {
    if (++this.#schemas > MAX_SCHEMAS) {
      rejectSchema({ pointer }, `more than ${MAX_SCHEMAS} schemas`);
    }
    if (depth > MAX_DEPTH) {
      rejectSchema({ pointer }, `schemas are nested more than ${MAX_DEPTH} deep`);
    }
    if (value === true) return pointer === "any value" ? this.#anyValueTree() : this.#any();
    if (value === false) rejectSchema({ pointer }, "the schema false matches no value");
    if (!isObject(value)) {
      rejectSchema({ pointer }, "a schema must be an object, true or false");
    }
    const schema: Schema = { keywords: value, pointer };
    assertSupported(schema);
    return this.#exclusive(schema, depth) ?? this.#ofTypes(schema, depth);
  }

  #anyValueTree(): Tree {
    const any = this.#any();
    return choice(
      objectTree([], any),
      arrayTree({ first: [], others: any, min: 0, max: Infinity }),
      STRING,
      NUMBER,
      text("true"),
      text("false"),
      text("null"),
    );
  }

  /** Builds a schema with a keyword that excludes all others; returns `null` if it has none. */
  #exclusive(schema: Schema, depth: number): Tree | null {
    const assertions = assertionKeywordsIn(schema);
    if (assertions.includes("enum") || assertions.includes("const")) {
      this.#assertOnly(schema, assertions, ["enum", "const", "type"]);
      return this.#ofValues(schema);
    }
    const keyword = ["$ref", "anyOf", "oneOf", "allOf"].find((one) => assertions.includes(one));
    if (keyword === undefined) return null;
    this.#assertOnly(schema, assertions, [keyword]);
    if (keyword === "$ref") return this.#reference(schema);
    const options = readList(schema, keyword)!;
    if (keyword === "allOf" && options.length > 1) {
      rejectSchema(schema, '"allOf" is supported with one schema only; merge the schemas');
    }
    if (keyword === "oneOf") this.#assertDisjoint(schema, options);
    return choice(
      ...options.map((option, i) =>
        this.#tree(option, childPointer(schema.pointer, keyword, i), depth + 1)
      ),
    );
  }

  #assertOnly(schema: Schema, assertions: readonly string[], allowed: readonly string[]): void {
    const other = assertions.find((keyword) => !allowed.includes(keyword));
    if (other === undefined) return;
    const exclusive = allowed.find((keyword) => assertions.includes(keyword));
    rejectSchema(schema, `"${other}" together with "${exclusive}" is not supported; merge the two`);
  }

  #assertDisjoint(schema: Schema, options: readonly unknown[]): void {
    if (options.length > MAX_SUBSCHEMAS) {
      rejectSchema(schema, `"oneOf" has more than ${MAX_SUBSCHEMAS} schemas`);
    }
    const resolve = (reference: string) => this.#resolve(reference, schema);
    options.forEach((option, i) => {
      const overlapping = options.findIndex((other, j) =>
        j < i && !areDisjoint(other, option, resolve)
      );
      if (overlapping < 0) return;
      rejectSchema(
        schema,
        `"oneOf" is supported only for options that differ in type or in a constant property that ` +
          `both require; options ${overlapping} and ${i} may overlap; use anyOf instead`,
      );
    });
  }

  #reference(schema: Schema): Tree {
    const reference = readString(schema, "$ref")!;
    return this.#rule(pointerOf(reference), this.#resolve(reference, schema));
  }

  #resolve(reference: string, schema: Schema): unknown {
    const pointer = pointerOf(reference);
    if (pointer !== "#" && !pointer.startsWith("#/")) {
      rejectSchema(
        schema,
        `"$ref" must point into the schema, but is ${quoted(reference)}`,
      );
    }
    let found: unknown = this.#whole;
    for (const step of pointer.split("/").slice(1)) {
      const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
      const container = isObject(found) || Array.isArray(found) ? found : {};
      if (!Object.hasOwn(container, key)) {
        rejectSchema(schema, `"$ref" ${quoted(reference)} does not exist in the schema`);
      }
      found = (container as Record<string, unknown>)[key];
    }
    return found;
  }

  #ofValues(schema: Schema): Tree {
    const constant = ownKeyword(schema, "const");
    const listed = readList(schema, "enum") ?? [constant];
    const types = this.#types(schema);
    const values = listed.filter((value) =>
      (constant === undefined || JSON.stringify(constant) === JSON.stringify(value)) &&
      (types === null || types.some((type) => hasType(value, type)))
    );
    if (values.length === 0) rejectSchema(schema, "no listed value matches the other keywords");
    return oneOfValues(values);
  }

  #types(schema: Schema): readonly string[] | null {
    const type = ownKeyword(schema, "type");
    if (type === undefined) return null;
    const types: unknown[] = [type].flat();
    const known = types.filter((one): one is string => TYPES.includes(one as string));
    if (types.length === 0 || known.length < types.length) {
      rejectKeyword(schema, "type", `one or more of ${TYPES.join(", ")}`);
    }
    return ownKeyword(schema, "nullable") === true ? [...known, "null"] : known;
  }

  #ofTypes(schema: Schema, depth: number): Tree {
    const kinds = valueTypesIn(schema);
    const types = this.#types(schema) ?? kinds;
    if (types.length === 0) return this.#any();
    return choice(...[...new Set(types)].map((type) => this.#ofType(type, schema, depth)));
  }

  #limitNumberParts(tree: Tree): Tree {
    this.#numberParts += allSubtrees([tree]).size;
    if (this.#numberParts <= MAX_GRAMMAR_PARTS) return tree;
    throw new GrammarError(
      `the numeric bounds take ${this.#numberParts} parts; the maximum is ${MAX_GRAMMAR_PARTS}`,
    );
  }

  #ofType(type: string, schema: Schema, depth: number): Tree {
    const subschemas: SubschemaTrees = {
      any: () => this.#any(),
      of: (value, ...steps) => this.#tree(value, childPointer(schema.pointer, ...steps), depth + 1),
    };
    switch (type) {
      case "object":
        return objectFromSchema(schema, subschemas);
      case "array":
        return arrayFromSchema(schema, subschemas);
      case "string":
        return stringFromSchema(schema, this.#patterns);
      case "number":
      case "integer":
        return this.#limitNumberParts(numberFromSchema(schema, type === "integer"));
      case "boolean":
        return choice(text("true"), text("false"));
      default:
        return text("null");
    }
  }
}

/** Returns the JSON pointer of a reference, percent-decoded. */
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
