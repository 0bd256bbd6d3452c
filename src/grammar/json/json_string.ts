/** Trees for JSON strings, by pattern, format or length. */

import { foldTree, LENGTH_BOUNDS } from "../analysis.ts";
import { GrammarError, quoted } from "../grammar_error.ts";
import { parseRegex } from "../regex.ts";
import { repeat, type Tree } from "../tree.ts";
import { escapeForJson, quotedString, STRING_CHAR } from "./json_text.ts";
import { readCount, readString, rejectSchema, type Schema } from "./schema_reader.ts";

const YEAR = "[0-9]{4}";
/** Month and day; excludes February 29, which not every year has. */
const DAY =
  "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)" +
  "|02-(?:0[1-9]|1[0-9]|2[0-8]))";
const TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?" +
  "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
const HOST = `${LABEL}(?:\\.${LABEL}){0,3}`;

/** Expressions for the formats. Each matches valid strings only, but not every valid string. */
const FORMATS: Readonly<Record<string, string>> = {
  "date": `${YEAR}-${DAY}`,
  "time": TIME,
  "date-time": `${YEAR}-${DAY}T${TIME}`,
  "duration": "P(?:[0-9]{1,4}W|[0-9]{1,4}D(?:T[0-9]{1,4}H)?|T[0-9]{1,4}(?:H|M|S))",
  "email": `[a-zA-Z0-9](?:[a-zA-Z0-9_+-]|\\.[a-zA-Z0-9]){0,60}@${LABEL}(?:\\.${LABEL}){1,3}`,
  "hostname": HOST,
  "ipv4": `${BYTE}(?:\\.${BYTE}){3}`,
  "ipv6": "[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}",
  "uri": `https?://${HOST}(?:/[a-zA-Z0-9._~-]{0,40}){0,8}`,
  "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
};

/** Trees of patterns that have been parsed, so that each pattern is parsed once. */
export type PatternCache = Map<string, { tree: Tree; lengths: readonly [number, number] }>;

/** @throws GrammarError if the schema is malformed or not supported */
export function stringFromSchema(schema: Schema, cache: PatternCache): Tree {
  const min = readCount(schema, "minLength") ?? 0;
  const max = readCount(schema, "maxLength") ?? Infinity;
  const pattern = readString(schema, "pattern");
  const format = readString(schema, "format");
  if (max < min) rejectSchema(schema, `"minLength" ${min} exceeds "maxLength" ${max}`);
  if (pattern === undefined && format === undefined) {
    return quotedString(repeat(STRING_CHAR, min, max));
  }
  if (pattern !== undefined && format !== undefined) {
    rejectSchema(schema, '"pattern" together with "format" is not supported');
  }
  const keyword = pattern === undefined ? "format" : "pattern";
  const source = pattern ?? `^${formatExpression(schema, format!)}$`;
  const found = cache.get(source) ?? parsePattern(schema, source);
  cache.set(source, found);
  const [shortest, longest] = found.lengths;
  if (shortest < min || longest > max) {
    rejectSchema(
      schema,
      `"${keyword}" together with "${
        shortest < min ? "minLength" : "maxLength"
      }" is not supported; ` +
        "express the length in a pattern such as ^.{1,9}$",
    );
  }
  return found.tree;
}

function formatExpression(schema: Schema, format: string): string {
  if (Object.hasOwn(FORMATS, format)) return FORMATS[format];
  const all = Object.keys(FORMATS).join(", ");
  return rejectSchema(schema, `the format ${quoted(format)} is not supported; use one of ${all}`);
}

function parsePattern(schema: Schema, pattern: string) {
  try {
    const tree = parseRegex(pattern, { search: true, newlines: true });
    return {
      tree: quotedString(escapeForJson(tree)),
      lengths: foldTree({ rules: [] }, LENGTH_BOUNDS)(tree),
    };
  } catch (error) {
    if (error instanceof GrammarError) rejectSchema(schema, `"pattern": ${error.message}`);
    throw error;
  }
}
