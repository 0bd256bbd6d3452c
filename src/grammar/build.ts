/** Compiles a grammar to nodes, for a vocabulary that may lack tokens for some bytes. */

import {
  allSubtrees,
  countStartAlternatives,
  findLeftRecursion,
  foldTree,
  NEWLINE_TRANSITIONS,
  newlineEffects,
  NULLABLE,
  satisfiabilityFold,
} from "./analysis.ts";
import type { CharSet } from "./code_points.ts";
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
import { GrammarError } from "./grammar_error.ts";
import type { Grammar, Tree } from "./tree.ts";
import { type ByteRange, encodings } from "./utf8.ts";

/** Maximum number of alternatives that can be open at one byte. */
export const MAX_ALTERNATIVES = 1024;

/** Maximum number of subtrees in a grammar; compiling 50,000 takes about 0.3 s. */
export const MAX_GRAMMAR_PARTS = 50_000;

export interface BuildOptions {
  /** `[256]`: 1 for each byte that the vocabulary can produce. */
  writable: Uint8Array;
  /** Whether an end token can end a reply; otherwise only an empty line ends it. */
  hasEndToken: boolean;
  /** Returns the name of a rule for error messages. */
  ruleName: (rule: number) => string;
}

const utf8 = new TextEncoder();

/**
 * Builds the nodes of a whole reply: an optional leading space, the grammar, and the empty line that
 * ends a reply where no end token does.
 *
 * @returns The root and all nodes.
 * @throws GrammarError if the grammar is too large, left-recursive or unsatisfiable
 */
export function buildNodes(grammar: Grammar, options: BuildOptions): { root: Node; nodes: Node[] } {
  const { root, rules } = grammar;
  const { size } = allSubtrees([root, ...rules]);
  if (size > MAX_GRAMMAR_PARTS) {
    throw new GrammarError(`the grammar has ${size} parts; the maximum is ${MAX_GRAMMAR_PARTS}`);
  }
  const nullable = foldTree(grammar, NULLABLE);
  const recursive = findLeftRecursion(rules, nullable);
  if (recursive !== null) {
    throw new GrammarError(
      `${
        options.ruleName(recursive)
      } is left-recursive, or starts a chain of more than 200 rules; ` +
        "put a character first or use the * operator",
    );
  }
  const alternatives = Math.max(...[root, ...rules].map(countStartAlternatives(nullable, rules)));
  if (alternatives > MAX_ALTERNATIVES) {
    throw new GrammarError(
      `the grammar has ${alternatives} alternatives at one position; the maximum is ${MAX_ALTERNATIVES}`,
    );
  }
  const nodes = new Nodes(grammar, options, nullable);
  const body = nodes.of(root);
  if (body === null) {
    throw new GrammarError(
      "the grammar matches no text that the vocabulary can produce",
    );
  }
  const { emptyLine, newlineLast } = newlineEffects(foldTree(grammar, NEWLINE_TRANSITIONS)(root));
  if (emptyLine) {
    throw new GrammarError(
      "the grammar allows an empty line, which ends a reply; allow single newlines only",
    );
  }
  const end = newlineLast && options.hasEndToken ? nodes.empty : nodes.optionalText("\n\n");
  const whole = nodes.pair(nodes.optionalText(" "), nodes.pair(body, end));
  return { root: whole, nodes: nodes.all };
}

/** Builds nodes and shares equal ones. */
class Nodes {
  readonly all: Node[] = [];
  readonly empty: Node = this.#register(new EmptyNode());
  readonly #writable: Uint8Array;
  readonly #rules: readonly RuleNode[];
  readonly #isSatisfiable: (tree: Tree) => boolean;
  readonly #nodeOf = new Map<Tree, Node>();
  /** Nodes of UTF-8 encodings and their suffixes, by byte ranges, so that equal suffixes share a node. */
  readonly #encoded = new Map<string, Node>();
  /** Producible encodings of character sets, and their nodes, by ranges. */
  readonly #sets = new Map<string, { encodings: ByteRange[][][]; node: Node | null }>();

  constructor(
    grammar: Grammar,
    { writable }: BuildOptions,
    nullable: (tree: Tree) => boolean,
  ) {
    this.#writable = writable;
    this.#rules = grammar.rules.map((tree) => this.#register(new RuleNode(nullable(tree))));
    this.#isSatisfiable = foldTree(
      grammar,
      satisfiabilityFold(
        (chars) => this.#set(chars).encodings.length > 0,
        (text) => utf8.encode(text).every((byte) => writable[byte] === 1),
      ),
    );
    grammar.rules.forEach((tree, i) => this.#rules[i].body = this.of(tree));
  }

  /** Returns the node of a tree, or `null` if the tree matches no text. */
  of(tree: Tree): Node | null {
    if (!this.#isSatisfiable(tree)) return null;
    const known = this.#nodeOf.get(tree) ?? this.#build(tree);
    this.#nodeOf.set(tree, known);
    return known;
  }

  pair(first: Node, second: Node): Node {
    if (first instanceof EmptyNode) return second;
    return second instanceof EmptyNode ? first : this.#register(new PairNode(first, second));
  }

  optionalText(text: string): Node {
    return this.#register(new RepeatNode(this.#text(text), 0, 1));
  }

  /** Builds the node of a satisfiable tree. */
  #build(tree: Tree): Node {
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
        return this.#register(new RepeatNode(part, tree.min, tree.max));
      }
      case "rule":
        return this.#rules[tree.rule];
    }
  }

  #text(text: string): Node {
    return text === "" ? this.empty : this.#register(new TextNode(utf8.encode(text)));
  }

  #choice(options: readonly Node[]): Node {
    return options.length === 1 ? options[0] : this.#register(new ChoiceNode(options));
  }

  #ofChars(chars: CharSet): Node {
    const set = this.#set(chars);
    return set.node ??= this.#choice(set.encodings.map((ranges) => this.#encoding(ranges)));
  }

  /** Returns the encodings of a character set that the vocabulary can produce, byte by byte. */
  #set(chars: CharSet): { encodings: ByteRange[][][]; node: Node | null } {
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
    const node = this.pair(this.#register(new ByteNode(first)), this.#encoding(rest));
    this.#encoded.set(name, node);
    return node;
  }

  #register<T extends Node>(node: T): T {
    this.all.push(node);
    return node;
  }
}
