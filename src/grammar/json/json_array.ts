/** Arrays: their first items as they are told one by one, then others. */

import { optional, repeat, sequence, text, type Tree } from "../tree.ts";
import { COMMA, list } from "./json_text.ts";
import { count, type Inner, listOf, MAX_PARTS, own, refuse, type Schema } from "./schema_reader.ts";

export interface Items {
  /** What the first ones are. */
  first: readonly Tree[];
  /** What the others are; `null` if there are none. */
  others: Tree | null;
  min: number;
  /** `min` or more; may be Infinity. */
  max: number;
}

export function arrayOf({ first, others, min, max }: Items): Tree {
  const told = first.slice(0, max);
  const [least, most] = [Math.max(0, min - told.length), max - told.length];
  let inner = others === null
    ? sequence()
    : told.length === 0
    ? list(others, least, most)
    : repeat(sequence(COMMA, others), least, most);
  for (const [i, item] of [...told.entries()].reverse()) {
    const here = sequence(...i === 0 ? [] : [COMMA], item, inner);
    inner = i < min ? here : optional(here);
  }
  return sequence(text("["), inner, text("]"));
}

/** @throws Refusal for what can't be held */
export function arrayBy(schema: Schema, inner: Inner): Tree {
  const min = count(schema, "minItems") ?? 0;
  const max = count(schema, "maxItems") ?? Infinity;
  if (max < min) refuse(schema, `no array has ${min} items at least and ${max} at most`);
  const told = listOf(schema, "prefixItems", { empty: true }) ?? [];
  if (told.length > MAX_PARTS) refuse(schema, `"prefixItems" has more than ${MAX_PARTS} schemas`);
  const items = own(schema, "items");
  if (Array.isArray(items)) refuse(schema, '"items" must be one schema; a list is "prefixItems"');
  const closed = items === false || (items === undefined && told.length > 0);
  if (closed && min > told.length) {
    refuse(schema, `"minItems" is ${min}, but only ${told.length} items are allowed`);
  }
  const first = told.slice(0, max).map((item, i) => inner.of(item, "prefixItems", i));
  const others = closed || max === first.length
    ? null
    : items === undefined
    ? inner.any()
    : inner.of(items, "items");
  return arrayOf({ first, others, min, max });
}
