/** Syntax trees over characters, the common form of regular expressions, schemas and EBNF. */

import type { CharSet } from "./code_points.ts";

/** A node of the syntax tree. */
export type Tree =
  /** Any one character of the set. */
  | { type: "chars"; chars: CharSet }
  | { type: "text"; text: string }
  /** All parts in order. */
  | { type: "sequence"; parts: readonly Tree[] }
  | { type: "choice"; options: readonly Tree[] }
  /** `part` from `min` to `max` times; `max` may be Infinity. */
  | { type: "repeat"; part: Tree; min: number; max: number }
  | { type: "rule"; rule: number };

/** A root and the rules that it refers to. Trees may share subtrees; rules may be recursive. */
export interface Grammar {
  root: Tree;
  rules: readonly Tree[];
}

export const EMPTY: Tree = { type: "sequence", parts: [] };

export function text(text: string): Tree {
  return { type: "text", text };
}

export function chars(chars: CharSet): Tree {
  return { type: "chars", chars };
}

export function sequence(...parts: Tree[]): Tree {
  return parts.length === 1 ? parts[0] : { type: "sequence", parts };
}

export function choice(...options: Tree[]): Tree {
  return options.length === 1 ? options[0] : { type: "choice", options };
}

export function repeat(part: Tree, min: number, max: number): Tree {
  return { type: "repeat", part, min, max };
}

export function optional(part: Tree): Tree {
  return repeat(part, 0, 1);
}

/** Builds a choice of texts. Common prefixes are factored out, which keeps few alternatives open. */
export function oneOf(texts: readonly string[]): Tree {
  return factorPrefixes([...new Set(texts)].map((text) => [...text]).sort(compare), 0);
}

/** @param texts Sorted, with equal characters before `at`. */
function factorPrefixes(texts: readonly string[][], at: number): Tree {
  const [first] = texts;
  const last = texts[texts.length - 1];
  let end = at;
  while (end < first.length && first[end] === last[end]) end++;
  const shared = text(first.slice(at, end).join(""));
  if (texts.length === 1) return shared;
  const options: Tree[] = first.length === end ? [EMPTY] : [];
  for (let from = options.length; from < texts.length;) {
    const char = texts[from][end];
    let to = from + 1;
    while (to < texts.length && texts[to][end] === char) to++;
    options.push(factorPrefixes(texts.slice(from, to), end));
    from = to;
  }
  return sequence(shared, choice(...options));
}

function compare(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((char, i) => char !== b[i]);
  if (at < 0) return a.length - b.length;
  return at >= b.length || a[at] > b[at] ? 1 : -1;
}
