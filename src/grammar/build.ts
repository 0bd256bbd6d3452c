/** Makes nodes of a grammar, for a vocabulary that may lack bytes. */

import {
  allParts,
  countBeginnings,
  foldTree,
  leftRecursion,
  LINES,
  linesOf,
  NULLABLE,
  satisfiableRules,
} from "./analysis.ts";
import type { Chars } from "./code_points.ts";
import {
  ByteNode,
  ChoiceNode,
  EmptyNode,
  type Node,
  PairNode,
  RepeatNode,
  RuleNode,
  TextNode,
} from "./nodes.ts";
import { GrammarError } from "./refusal.ts";
import type { Grammar, Tree } from "./tree.ts";
import { type ByteRange, encodings } from "./utf8.ts";

/** Ways that may be open for one next byte. */
export const MAX_WAYS = 1024;

/** Parts of a grammar: 50,000 of them are ready within some 0.3 s. */
export const MAX_PARTS = 50_000;

export interface BuildOptions {
  /** `[256]`: 1 at the bytes that can be written. */
  writable: Uint8Array;
  /** Whether a reply can end at any time that its grammar allows, or with an empty line only. */
  endToken: boolean;
  /** What a rule is called, in messages. */
  nameOf: (rule: number) => string;
}

const utf8 = new TextEncoder();

/**
 * The nodes of a whole reply: the grammar, behind the space with which replies begin, and before the
 * empty line that ends one as well as the end of text does.
 *
 * @returns The root, and all nodes.
 * @throws Refusal for a grammar that can't be held
 */
export function buildNodes(grammar: Grammar, options: BuildOptions): { root: Node; nodes: Node[] } {
  const { root, rules } = grammar;
  const { size } = allParts([root, ...rules]);
  if (size > MAX_PARTS) {
    throw new GrammarError(`it comes to ${size} parts, at most ${MAX_PARTS} are taken`);
  }
  const nullable = foldTree(grammar, NULLABLE);
  const endless = leftRecursion(rules, nullable);
  if (endless !== null) {
    throw new GrammarError(
      `${options.nameOf(endless)} leads to itself, or through more than 200 others, before any ` +
        "character; let a character come first, or repeat with *",
    );
  }
  const ways = Math.max(...[root, ...rules].map(countBeginnings(nullable, rules)));
  if (ways > MAX_WAYS) {
    throw new GrammarError(`it can go on in ${ways} ways at once, at most ${MAX_WAYS} are taken`);
  }
  const nodes = new Nodes(grammar, options, nullable);
  const body = nodes.of(root);
  if (body === null) {
    throw new GrammarError(
      "nothing can be written that it allows, in bytes that the vocabulary has",
    );
  }
  const { empty, newlineLast } = linesOf(foldTree(grammar, LINES)(root));
  if (empty) {
    throw new GrammarError(
      "it allows an empty line, which ends a reply; allow single newlines only",
    );
  }
  const end = newlineLast && options.endToken ? nodes.empty : nodes.optionalText("\n\n");
  const whole = nodes.pair(nodes.optionalText(" "), nodes.pair(body, end));
  return { root: whole, nodes: nodes.all };
}

class Nodes {
  readonly all: Node[] = [];
  readonly empty: Node = this.#made(new EmptyNode());
  readonly #writable: Uint8Array;
  readonly #rules: readonly RuleNode[];
  readonly #possible: (tree: Tree) => boolean;
  readonly #known = new Map<Tree, Node>();
  /** Encodings and their ends, by their ranges, so that what is the same is one node. */
  readonly #encoded = new Map<string, Node>();
  /** What can be written of sets of characters, and its nodes, by their ranges. */
  readonly #sets = new Map<string, { encodings: ByteRange[][][]; node: Node | null }>();

  constructor(
    grammar: Grammar,
    { writable }: BuildOptions,
    nullable: (tree: Tree) => boolean,
  ) {
    this.#writable = writable;
    this.#rules = grammar.rules.map((tree) => this.#made(new RuleNode(nullable(tree))));
    this.#possible = foldTree(
      grammar,
      satisfiableRules(
        (chars) => this.#set(chars).encodings.length > 0,
        (text) => utf8.encode(text).every((byte) => writable[byte] === 1),
      ),
    );
    grammar.rules.forEach((tree, i) => this.#rules[i].body = this.of(tree));
  }

  /** The node of a tree; `null` if nothing can be made of it. */
  of(tree: Tree): Node | null {
    if (!this.#possible(tree)) return null;
    const known = this.#known.get(tree) ?? this.#of(tree);
    this.#known.set(tree, known);
    return known;
  }

  pair(first: Node, second: Node): Node {
    if (first instanceof EmptyNode) return second;
    return second instanceof EmptyNode ? first : this.#made(new PairNode(first, second));
  }

  optionalText(text: string): Node {
    return this.#made(new RepeatNode(this.#text(text), 0, 1));
  }

  /** Of a tree that something can be made of. */
  #of(tree: Tree): Node {
    switch (tree.type) {
      case "chars":
        return this.#ofChars(tree.chars);
      case "text":
        return this.#text(tree.text);
      case "sequence":
        return tree.parts.reduceRight((rest, part) => this.pair(this.of(part)!, rest), this.empty);
      case "choice":
        return this.#choice(tree.options.flatMap((option) => this.of(option) ?? []));
      case "repeat": {
        const part = tree.max === 0 ? null : this.of(tree.part);
        if (part === null || part instanceof EmptyNode) return this.empty;
        return this.#made(new RepeatNode(part, tree.min, tree.max));
      }
      case "rule":
        return this.#rules[tree.rule];
    }
  }

  #text(text: string): Node {
    return text === "" ? this.empty : this.#made(new TextNode(utf8.encode(text)));
  }

  #choice(options: readonly Node[]): Node {
    return options.length === 1 ? options[0] : this.#made(new ChoiceNode(options));
  }

  #ofChars(chars: Chars): Node {
    const set = this.#set(chars);
    return set.node ??= this.#choice(set.encodings.map((ranges) => this.#encoding(ranges)));
  }

  /** What can be written of the encodings of characters, byte by byte. */
  #set(chars: Chars): { encodings: ByteRange[][][]; node: Node | null } {
    const name = chars.join();
    const known = this.#sets.get(name);
    if (known) return known;
    const possible = encodings(chars)
      .map((ranges) => ranges.map((range) => this.#writableIn(range)))
      .filter((bytes) => bytes.every((ranges) => ranges.length > 0));
    const set = { encodings: possible, node: null };
    this.#sets.set(name, set);
    return set;
  }

  #writableIn([low, high]: ByteRange): ByteRange[] {
    const found: [number, number][] = [];
    for (let byte = low; byte <= high; byte++) {
      if (this.#writable[byte] === 0) continue;
      const last = found.at(-1);
      if (last && last[1] === byte - 1) last[1] = byte;
      else found.push([byte, byte]);
    }
    return found;
  }

  #encoding(bytes: readonly ByteRange[][]): Node {
    if (bytes.length === 0) return this.empty;
    const name = JSON.stringify(bytes);
    const known = this.#encoded.get(name);
    if (known) return known;
    const [first, ...rest] = bytes;
    const node = this.pair(this.#made(new ByteNode(first)), this.#encoding(rest));
    this.#encoded.set(name, node);
    return node;
  }

  #made<T extends Node>(node: T): T {
    this.all.push(node);
    return node;
  }
}
