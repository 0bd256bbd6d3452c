/** Grammars as trees over characters: what regular expressions, schemas and EBNF are turned into. */

import type { Chars } from "./code_points.ts";

export type Tree =
  /** One of these characters. */
  | { type: "chars"; chars: Chars }
  | { type: "text"; text: string }
  /** One after the other. */
  | { type: "sequence"; parts: readonly Tree[] }
  | { type: "choice"; options: readonly Tree[] }
  /** `max` may be Infinity. */
  | { type: "repeat"; part: Tree; min: number; max: number }
  | { type: "rule"; rule: number };

/** Trees may share parts; rules may refer to each other and to themselves. */
export interface Grammar {
  root: Tree;
  rules: readonly Tree[];
}

export const EMPTY: Tree = { type: "sequence", parts: [] };

export function text(text: string): Tree {
  return { type: "text", text };
}

export function chars(chars: Chars): Tree {
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

/** One of these texts. Beginnings that they share come once, so that few ways are open at a time. */
export function oneOf(texts: readonly string[]): Tree {
  return join([...new Set(texts)].map((text) => [...text]).sort(compare), 0);
}

/** @param texts In order, all the same before `at`. */
function join(texts: readonly string[][], at: number): Tree {
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
    options.push(join(texts.slice(from, to), end));
    from = to;
  }
  return sequence(shared, choice(...options));
}

function compare(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((char, i) => char !== b[i]);
  if (at < 0) return a.length - b.length;
  return at >= b.length || a[at] > b[at] ? 1 : -1;
}
