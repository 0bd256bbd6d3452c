/** Trees for JSON arrays: prefix items, then any number of others. */

import { optional, repeat, sequence, text, type Tree } from "../tree.ts";
import { COMMA, commaSeparated } from "./json_text.ts";
import {
  MAX_SUBSCHEMAS,
  ownKeyword,
  readCount,
  readList,
  rejectSchema,
  type Schema,
  type SubschemaTrees,
} from "./schema_reader.ts";

/** The items of an array. */
export interface ArrayItems {
  /** Trees of the first items, by position. */
  first: readonly Tree[];
  /** Tree of each further item; `null` if none is allowed. */
  others: Tree | null;
  min: number;
  /** At least `min`; may be Infinity. */
  max: number;
}

/** Builds the tree of an array. */
export function arrayTree({ first, others, min, max }: ArrayItems): Tree {
  const prefix = first.slice(0, max);
  const minOthers = Math.max(0, min - prefix.length);
  const maxOthers = max - prefix.length;
  let inner = others === null
    ? sequence()
    : prefix.length === 0
    ? commaSeparated(others, minOthers, maxOthers)
    : repeat(sequence(COMMA, others), minOthers, maxOthers);
  for (const [i, item] of [...prefix.entries()].reverse()) {
    const fromHere = sequence(...i === 0 ? [] : [COMMA], item, inner);
    inner = i < min ? fromHere : optional(fromHere);
  }
  return sequence(text("["), inner, text("]"));
}

/** @throws GrammarError if the schema is malformed or not supported */
export function arrayFromSchema(schema: Schema, subschemas: SubschemaTrees): Tree {
  const min = readCount(schema, "minItems") ?? 0;
  const max = readCount(schema, "maxItems") ?? Infinity;
  if (max < min) rejectSchema(schema, `"minItems" ${min} exceeds "maxItems" ${max}`);
  const prefixItems = readList(schema, "prefixItems", { empty: true }) ?? [];
  if (prefixItems.length > MAX_SUBSCHEMAS) {
    rejectSchema(schema, `"prefixItems" has more than ${MAX_SUBSCHEMAS} schemas`);
  }
  const items = ownKeyword(schema, "items");
  if (Array.isArray(items)) {
    rejectSchema(schema, '"items" must be one schema; a list is "prefixItems"');
  }
  const closed = items === false || (items === undefined && prefixItems.length > 0);
  if (closed && min > prefixItems.length) {
    rejectSchema(schema, `"minItems" is ${min}, but only ${prefixItems.length} items are allowed`);
  }
  const first = prefixItems.slice(0, max).map((item, i) => subschemas.of(item, "prefixItems", i));
  const others = closed || max === first.length
    ? null
    : items === undefined
    ? subschemas.any()
    : subschemas.of(items, "items");
  return arrayTree({ first, others, min, max });
}
