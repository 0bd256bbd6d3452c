/** What can be said of a grammar before anything is written by it. */

import { type Chars, hasChar, NEWLINE } from "./code_points.ts";
import type { Grammar, Tree } from "./tree.ts";

/** How a value of a tree comes from those of its parts. */
export interface TreeFold<V> {
  /** Of a rule that refers to itself, to begin with: values only grow from there. */
  bottom: V;
  chars(chars: Chars): V;
  text(text: string): V;
  sequence(parts: readonly V[]): V;
  choice(options: readonly V[]): V;
  repeat(part: V, min: number, max: number): V;
}

/** Reads every rule until nothing changes; returns the value of any tree of the grammar. */
export function foldTree<V>({ rules }: Pick<Grammar, "rules">, by: TreeFold<V>): (tree: Tree) => V {
  const values = rules.map(() => by.bottom);
  const users = rules.map(() => new Set<number>());
  rules.forEach((tree, i) => rulesIn(tree).forEach((rule) => users[rule].add(i)));
  const value = (tree: Tree, known: Map<Tree, V>): V => {
    const before = known.get(tree);
    if (before !== undefined) return before;
    const found = valueOf(tree, by, (part) => value(part, known), values);
    known.set(tree, found);
    return found;
  };
  const changed = new Set(inOrder(rules));
  for (const rule of changed) {
    changed.delete(rule);
    const found = value(rules[rule], new Map());
    if (found === values[rule]) continue;
    values[rule] = found;
    for (const user of users[rule]) changed.add(user);
  }
  const known = new Map<Tree, V>();
  return (tree) => value(tree, known);
}

function valueOf<V>(tree: Tree, by: TreeFold<V>, of: (part: Tree) => V, rules: readonly V[]): V {
  switch (tree.type) {
    case "chars":
      return by.chars(tree.chars);
    case "text":
      return by.text(tree.text);
    case "sequence":
      return by.sequence(tree.parts.map(of));
    case "choice":
      return by.choice(tree.options.map(of));
    case "repeat":
      return by.repeat(of(tree.part), tree.min, tree.max);
    case "rule":
      return rules[tree.rule];
  }
}

function partsOf(tree: Tree): readonly Tree[] {
  if (tree.type === "sequence") return tree.parts;
  if (tree.type === "choice") return tree.options;
  return tree.type === "repeat" ? [tree.part] : [];
}

/** All parts of trees, themselves included, each once. */
export function allParts(trees: readonly Tree[]): Set<Tree> {
  const found = new Set(trees);
  for (const tree of found) for (const part of partsOf(tree)) found.add(part);
  return found;
}

/** The rules that a tree names. */
function rulesIn(tree: Tree): Set<number> {
  const parts = [...allParts([tree])];
  return new Set(parts.flatMap((part) => part.type === "rule" ? part.rule : []));
}

/** Rules after those that they name, as far as that can be. */
function inOrder(rules: readonly Tree[]): number[] {
  const done = new Set<number>();
  const seen = new Set<number>();
  for (const start of rules.keys()) {
    const open = [start];
    while (open.length > 0) {
      const rule = open[open.length - 1];
      const first = !seen.has(rule);
      seen.add(rule);
      const next = first ? [...rulesIn(rules[rule])].filter((one) => !seen.has(one)) : [];
      if (next.length > 0) open.push(...next);
      else done.add(open.pop()!);
    }
  }
  return [...done];
}

/** Whether something can be made of a tree, where the same is told of its characters and texts. */
export function satisfiableRules(
  ofChars: (chars: Chars) => boolean,
  ofText: (text: string) => boolean,
): TreeFold<boolean> {
  return {
    bottom: false,
    chars: ofChars,
    text: ofText,
    sequence: (parts) => parts.every(Boolean),
    choice: (options) => options.some(Boolean),
    repeat: (part, min) => part || min === 0,
  };
}

/** Whether a tree can be nothing at all. */
export const NULLABLE: TreeFold<boolean> = satisfiableRules(() => false, (text) => text === "");

/**
 * Ways that a tree can begin, at most, if each is counted on its own. What can't begin, as nothing
 * is in it, counts as one: it is gone through all the same. Only for grammars that
 * {@linkcode leftRecursion} finds nothing in.
 */
export function countBeginnings(nullable: (tree: Tree) => boolean, rules: readonly Tree[]) {
  const known = new Map<Tree, number>();
  const count = (tree: Tree): number => {
    const before = known.get(tree);
    if (before !== undefined) return before;
    const found = tree.type === "chars"
      ? 4 * tree.chars.length
      : tree.type === "text"
      ? 1
      : Math.max(1, beginnings(tree, nullable, rules).reduce((sum, part) => sum + count(part), 0));
    known.set(tree, found);
    return found;
  };
  return count;
}

/** Parts of a tree that may come first. */
function beginnings(
  tree: Tree,
  nullable: (tree: Tree) => boolean,
  rules: readonly Tree[],
): readonly Tree[] {
  if (tree.type === "rule") return [rules[tree.rule]];
  if (tree.type !== "sequence") return partsOf(tree);
  const solid = tree.parts.findIndex((part) => !nullable(part));
  return solid < 0 ? tree.parts : tree.parts.slice(0, solid + 1);
}

/** Rules that lead from one to the next without a character between: how many at most. */
const MAX_CHAIN = 200;

/**
 * A rule that begins with itself, directly or by others, so that nothing tells how often it is to be
 * entered; or the last one of a chain that is too long. `null` if there is none.
 */
export function leftRecursion(
  rules: readonly Tree[],
  nullable: (tree: Tree) => boolean,
): number | null {
  const leads = rules.map((tree) => {
    const seen = new Set([tree]);
    const found = new Set<number>();
    for (const one of seen) {
      if (one.type === "rule") found.add(one.rule);
      else for (const part of beginnings(one, nullable, rules)) seen.add(part);
    }
    return [...found];
  });
  /** How long the chain from each rule is; 0 while it is being found. */
  const lengths = new Map<number, number>();
  const length = (rule: number, depth: number): number => {
    const known = lengths.get(rule);
    if (known === 0 || depth > MAX_CHAIN) return Infinity;
    if (known !== undefined) return known;
    lengths.set(rule, 0);
    const found = 1 + Math.max(0, ...leads[rule].map((next) => length(next, depth + 1)));
    lengths.set(rule, found);
    return found;
  };
  const bad = [...rules.keys()].find((rule) => length(rule, 0) > MAX_CHAIN);
  return bad ?? null;
}

/**
 * What a tree does to a line's end, as bits: from a text that does not end with a newline (bits 0 to
 * 2) or does (3 to 5) it can lead to one that does not, to one that does, or across an empty line.
 */
export const LINES: TreeFold<number> = {
  bottom: 0,
  chars: (chars) => {
    const newline = hasChar(chars, NEWLINE);
    const other = chars.some(([low, high]) => low !== NEWLINE || high !== NEWLINE);
    return leads(other, newline, false) | leads(other, false, newline) << 3;
  },
  text: (text) => [...text].reduce((lines, char) => then(lines, charLines(char)), STAY),
  sequence: (parts) => parts.reduce(then, STAY),
  choice: (options) => options.reduce((a, b) => a | b, 0),
  repeat: (part, min, max) => {
    let lines = STAY;
    // Powers of what has six bits come round soon: any of more than 64 is one of the last few.
    const least = min > 64 ? 64 + (min - 64) % 60 : min;
    for (let i = 0; i < least; i++) lines = then(lines, part);
    for (let i = 0; i < Math.min(max - min, 64); i++) lines |= then(lines, part);
    return lines;
  },
};

const STAY = 0b010_001;
const ACROSS = 0b100;

/** Whether a reply that begins anew can have an empty line, and whether it can end with a newline. */
export function linesOf(lines: number): { empty: boolean; newlineLast: boolean } {
  return { empty: (lines & ACROSS) !== 0, newlineLast: (lines & 0b010) !== 0 };
}

function leads(inLine: boolean, atEnd: boolean, across: boolean): number {
  return Number(inLine) | Number(atEnd) << 1 | Number(across) << 2;
}

function charLines(char: string): number {
  return char === "\n" ? leads(false, true, false) | ACROSS << 3 : leads(true, false, false) * 9;
}

function then(first: number, second: number): number {
  const onward = (from: number) =>
    (from & 1 ? second & 7 : 0) | (from & 2 ? second >> 3 & 7 : 0) | from & ACROSS;
  return onward(first & 7) | onward(first >> 3) << 3;
}

/** Characters that a tree has, at least and at most. Only where no rule is. */
export const LENGTHS: TreeFold<readonly [min: number, max: number]> = {
  bottom: [Infinity, 0],
  chars: () => [1, 1],
  text: (text) => [[...text].length, [...text].length],
  sequence: (parts) => parts.reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0]),
  choice: (options) => [
    Math.min(...options.map(([min]) => min)),
    Math.max(...options.map(([, max]) => max)),
  ],
  repeat: ([a, b], min, max) => [min === 0 ? 0 : a * min, max === 0 || b === 0 ? 0 : b * max],
};
