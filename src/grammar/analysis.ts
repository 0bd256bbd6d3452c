/** Static analyses of a grammar: nullability, left recursion, newlines and text lengths. */

import { type CharSet, hasChar, NEWLINE } from "./code_points.ts";
import type { Grammar, Tree } from "./tree.ts";

/** Computes a value for a tree from the values of its parts. */
export interface TreeFold<V> {
  /** Initial value of every rule. The fixed-point iteration only moves values up from here. */
  bottom: V;
  chars(chars: CharSet): V;
  text(text: string): V;
  sequence(parts: readonly V[]): V;
  choice(options: readonly V[]): V;
  repeat(part: V, min: number, max: number): V;
}

/**
 * Evaluates all rules to a fixed point and returns a function that gives the value of any tree of
 * the grammar.
 */
export function foldTree<V>(
  { rules }: Pick<Grammar, "rules">,
  fold: TreeFold<V>,
): (tree: Tree) => V {
  const values = rules.map(() => fold.bottom);
  const users = rules.map(() => new Set<number>());
  rules.forEach((tree, i) => referencedRules(tree).forEach((rule) => users[rule].add(i)));
  const value = (tree: Tree, known: Map<Tree, V>): V => {
    const before = known.get(tree);
    if (before !== undefined) return before;
    const found = valueOf(tree, fold, (part) => value(part, known), values);
    known.set(tree, found);
    return found;
  };
  const changed = new Set(dependencyOrder(rules));
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

function valueOf<V>(tree: Tree, fold: TreeFold<V>, of: (part: Tree) => V, rules: readonly V[]): V {
  switch (tree.type) {
    case "chars":
      return fold.chars(tree.chars);
    case "text":
      return fold.text(tree.text);
    case "sequence":
      return fold.sequence(tree.parts.map(of));
    case "choice":
      return fold.choice(tree.options.map(of));
    case "repeat":
      return fold.repeat(of(tree.part), tree.min, tree.max);
    case "rule":
      return rules[tree.rule];
  }
}

function partsOf(tree: Tree): readonly Tree[] {
  if (tree.type === "sequence") return tree.parts;
  if (tree.type === "choice") return tree.options;
  return tree.type === "repeat" ? [tree.part] : [];
}

/** Returns the trees and all their subtrees, each once. */
export function allSubtrees(trees: readonly Tree[]): Set<Tree> {
  const found = new Set(trees);
  for (const tree of found) for (const part of partsOf(tree)) found.add(part);
  return found;
}

/** Returns the rules that a tree refers to. */
function referencedRules(tree: Tree): Set<number> {
  const parts = [...allSubtrees([tree])];
  return new Set(parts.flatMap((part) => part.type === "rule" ? part.rule : []));
}

/** Returns the rules in dependency order where references are acyclic, so that few are revisited. */
function dependencyOrder(rules: readonly Tree[]): number[] {
  const done = new Set<number>();
  const seen = new Set<number>();
  for (const start of rules.keys()) {
    const open = [start];
    while (open.length > 0) {
      const rule = open[open.length - 1];
      const first = !seen.has(rule);
      seen.add(rule);
      const next = first ? [...referencedRules(rules[rule])].filter((one) => !seen.has(one)) : [];
      if (next.length > 0) open.push(...next);
      else done.add(open.pop()!);
    }
  }
  return [...done];
}

/** Computes whether a tree matches any text, given the answer for character sets and literals. */
export function satisfiabilityFold(
  ofChars: (chars: CharSet) => boolean,
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

/** Computes whether a tree matches the empty text. */
export const NULLABLE: TreeFold<boolean> = satisfiabilityFold(() => false, (text) => text === "");

/**
 * Returns a function that counts the alternatives with which a tree can start, as an upper bound:
 * shared alternatives count several times. An empty tree counts as one because the automaton visits
 * it too. The grammar must be free of left recursion, see {@linkcode findLeftRecursion}.
 */
export function countStartAlternatives(nullable: (tree: Tree) => boolean, rules: readonly Tree[]) {
  const known = new Map<Tree, number>();
  const count = (tree: Tree): number => {
    const before = known.get(tree);
    if (before !== undefined) return before;
    const found = tree.type === "chars"
      ? 4 * tree.chars.length
      : tree.type === "text"
      ? 1
      : Math.max(1, startParts(tree, nullable, rules).reduce((sum, part) => sum + count(part), 0));
    known.set(tree, found);
    return found;
  };
  return count;
}

/** Returns the parts of a tree that can match its first character. */
function startParts(
  tree: Tree,
  nullable: (tree: Tree) => boolean,
  rules: readonly Tree[],
): readonly Tree[] {
  if (tree.type === "rule") return [rules[tree.rule]];
  if (tree.type !== "sequence") return partsOf(tree);
  const firstSolid = tree.parts.findIndex((part) => !nullable(part));
  return firstSolid < 0 ? tree.parts : tree.parts.slice(0, firstSolid + 1);
}

/** Longest accepted chain of rules in which each starts with the next. */
const MAX_CHAIN = 200;

/**
 * Returns a rule that is left-recursive, directly or through other rules, or that starts a chain of
 * more than {@linkcode MAX_CHAIN} rules. Returns `null` if there is none.
 */
export function findLeftRecursion(
  rules: readonly Tree[],
  nullable: (tree: Tree) => boolean,
): number | null {
  const startRules = rules.map((tree) => {
    const seen = new Set([tree]);
    const found = new Set<number>();
    for (const one of seen) {
      if (one.type === "rule") found.add(one.rule);
      else for (const part of startParts(one, nullable, rules)) seen.add(part);
    }
    return [...found];
  });
  /** Length of the chain from each rule; 0 marks a rule whose length is being computed. */
  const lengths = new Map<number, number>();
  const chainLength = (rule: number, depth: number): number => {
    const known = lengths.get(rule);
    if (known === 0 || depth > MAX_CHAIN) return Infinity;
    if (known !== undefined) return known;
    lengths.set(rule, 0);
    const found = 1 + Math.max(0, ...startRules[rule].map((next) => chainLength(next, depth + 1)));
    lengths.set(rule, found);
    return found;
  };
  const bad = [...rules.keys()].find((rule) => chainLength(rule, 0) > MAX_CHAIN);
  return bad ?? null;
}

/**
 * Computes how a tree changes the end of the text, as six bits. Bits 0 to 2 apply if the preceding
 * text does not end with a newline, bits 3 to 5 if it does. In each group, the bits say whether the
 * text can then end without a newline, end with one, or contain an empty line.
 */
export const NEWLINE_TRANSITIONS: TreeFold<number> = {
  bottom: 0,
  chars: (chars) => {
    const newline = hasChar(chars, NEWLINE);
    const other = chars.some(([low, high]) => low !== NEWLINE || high !== NEWLINE);
    return transitionBits(other, newline, false) | transitionBits(other, false, newline) << 3;
  },
  text: (text) => [...text].reduce((before, char) => then(before, charTransitions(char)), IDENTITY),
  sequence: (parts) => parts.reduce(then, IDENTITY),
  choice: (options) => options.reduce((a, b) => a | b, 0),
  repeat: (part, min, max) => {
    let transitions = IDENTITY;
    // Powers of a six-bit transition are periodic after 64 steps, with a period that divides 60.
    const minSteps = min > 64 ? 64 + (min - 64) % 60 : min;
    for (let i = 0; i < minSteps; i++) transitions = then(transitions, part);
    for (let i = 0; i < Math.min(max - min, 64); i++) transitions |= then(transitions, part);
    return transitions;
  },
};

const IDENTITY = 0b010_001;
const HAS_EMPTY_LINE = 0b100;

/** Decodes transitions for a reply that starts on a new line. */
export function newlineEffects(transitions: number): { emptyLine: boolean; newlineLast: boolean } {
  return {
    emptyLine: (transitions & HAS_EMPTY_LINE) !== 0,
    newlineLast: (transitions & 0b010) !== 0,
  };
}

function transitionBits(noNewline: boolean, newline: boolean, emptyLine: boolean): number {
  return Number(noNewline) | Number(newline) << 1 | Number(emptyLine) << 2;
}

function charTransitions(char: string): number {
  return char === "\n"
    ? transitionBits(false, true, false) | HAS_EMPTY_LINE << 3
    : transitionBits(true, false, false) * 9;
}

/** Composes two transitions: `first`, followed by `second`. */
function then(first: number, second: number): number {
  const onward = (from: number) =>
    (from & 1 ? second & 7 : 0) | (from & 2 ? second >> 3 & 7 : 0) | from & HAS_EMPTY_LINE;
  return onward(first & 7) | onward(first >> 3) << 3;
}

/** Computes the minimum and maximum number of characters that a tree matches. Rules are not supported. */
export const LENGTH_BOUNDS: TreeFold<readonly [min: number, max: number]> = {
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
