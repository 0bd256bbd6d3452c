/** Strings: by pattern, format or length. */

import { foldTree, LENGTHS } from "../analysis.ts";
import { GrammarError, quoted } from "../refusal.ts";
import { parseRegex } from "../regex.ts";
import { repeat, type Tree } from "../tree.ts";
import { asString, STRING_CHAR, stringOf } from "./json_text.ts";
import { count, refuse, type Schema, string } from "./schema_reader.ts";

const YEAR = "[0-9]{4}";
/** Days that every year has. */
const DAY =
  "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)" +
  "|02-(?:0[1-9]|1[0-9]|2[0-8]))";
const TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?" +
  "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
const HOST = `${LABEL}(?:\\.${LABEL}){0,3}`;

/** What a string of each format may be: not all that is allowed, and nothing that is not. */
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

/** Strings by pattern that have been read, so that each is read once. */
export type KnownPatterns = Map<string, { tree: Tree; lengths: readonly [number, number] }>;

/** @throws Refusal for what can't be held */
export function stringBy(schema: Schema, known: KnownPatterns): Tree {
  const min = count(schema, "minLength") ?? 0;
  const max = count(schema, "maxLength") ?? Infinity;
  const pattern = string(schema, "pattern");
  const format = string(schema, "format");
  if (max < min) refuse(schema, `no string is ${min} long at least and ${max} at most`);
  if (pattern === undefined && format === undefined) {
    return stringOf(repeat(STRING_CHAR, min, max));
  }
  if (pattern !== undefined && format !== undefined) {
    refuse(schema, '"pattern" beside "format" is not supported');
  }
  const keyword = pattern === undefined ? "format" : "pattern";
  const source = pattern ?? `^${expressionOf(schema, format!)}$`;
  const found = known.get(source) ?? ofPattern(schema, source);
  known.set(source, found);
  const [shortest, longest] = found.lengths;
  if (shortest < min || longest > max) {
    refuse(
      schema,
      `"${keyword}" beside "${shortest < min ? "minLength" : "maxLength"}" is not supported; ` +
        "say the length in a pattern, as in ^.{1,9}$",
    );
  }
  return found.tree;
}

function expressionOf(schema: Schema, format: string): string {
  if (Object.hasOwn(FORMATS, format)) return FORMATS[format];
  const all = Object.keys(FORMATS).join(", ");
  return refuse(schema, `the format ${quoted(format)} is not supported; these are: ${all}`);
}

function ofPattern(schema: Schema, pattern: string) {
  try {
    const tree = parseRegex(pattern, { search: true, newlines: true });
    return { tree: stringOf(asString(tree)), lengths: foldTree({ rules: [] }, LENGTHS)(tree) };
  } catch (error) {
    if (error instanceof GrammarError) refuse(schema, `"pattern": ${error.message}`);
    throw error;
  }
}
