/**
 * A grammar as an automaton over bytes. A state is a set of stacks, each a sequence of nodes that can
 * match the rest of the text. States are built when they are first reached, and all of them are
 * dropped when there are too many.
 */

import { ByteNode, type Node, TextNode } from "./nodes.ts";
import { MAX_ALTERNATIVES } from "./build.ts";

/** Nodes that must still match, top first. Equal stacks are one object. */
class Stack {
  static #count = 0;
  readonly id: number = Stack.#count++;
  /** Whether the text can end here. */
  readonly accepting: boolean;
  /** Cached state that consists of this stack only. */
  singletonState: AutomatonState | null = null;
  /** Created on demand because most stacks have none. */
  #above: Map<Node, Stack> | null = null;

  /** @param node `null` for the empty stack. */
  constructor(readonly node: Node | null, readonly below: Stack | null) {
    this.accepting = node === null || node.nullable && below!.accepting;
  }

  push(node: Node): Stack {
    const known = this.#above?.get(node);
    if (known) return known;
    const above = new Stack(node, this);
    (this.#above ??= new Map()).set(node, above);
    return above;
  }
}

/** A set of stacks: the alternatives for the rest of the text. */
export class AutomatonState {
  /** Next state by byte class; `null` if the byte is not allowed. */
  readonly transitions: (AutomatonState | null | undefined)[] = [];
  /** Whether the text can end here. */
  readonly accepting: boolean;
  /** Cache for the compiled grammar: the tokens that are allowed next. */
  tokenBitmask: Int32Array | null = null;

  constructor(readonly stacks: readonly Stack[], readonly generation: number) {
    this.accepting = stacks.some(({ accepting: ends }) => ends);
  }
}

/** All states are dropped when there are more. */
const MAX_STATES = 4096;

/** Maximum steps for one transition. Alternatives beyond it are dropped, except the first one found. */
const MAX_TRANSITION_WORK = 4 * MAX_ALTERNATIVES;

/** Computes and caches the states of a grammar. */
export class Automaton {
  /** `[256]`: the class of each byte; the grammar does not distinguish bytes of one class. */
  readonly classOf: Uint8Array;
  /** Counter of work done; callers reset it to bound an operation. */
  work = 0;
  readonly #root: Node;
  readonly #nodes: readonly Node[];
  /** `[classes]`: one byte of each class. */
  readonly #bytes: Uint8Array;
  #generation = 0;
  #count = 0;
  #bottom = new Stack(null, null);
  #known = new Map<string, AutomatonState>();

  constructor(root: Node, nodes: readonly Node[]) {
    this.#root = root;
    this.#nodes = nodes;
    const starts = classStarts(nodes);
    this.#bytes = Uint8Array.from(starts);
    this.classOf = new Uint8Array(256);
    starts.forEach((start, i) => this.classOf.fill(i, start));
  }

  /** Returns the state before the first byte. */
  start(): AutomatonState {
    return this.#stateOf([this.#bottom.push(this.#root)]);
  }

  /** Returns the state after a byte, or `null` if the byte is not allowed. */
  advance(state: AutomatonState, byte: number): AutomatonState | null {
    const byteClass = this.classOf[byte];
    const known = state.transitions[byteClass];
    return known !== undefined
      ? known
      : state.transitions[byteClass] = this.#transition(state, byteClass);
  }

  /** Returns the state itself, or an equal one if the cache was cleared since it was built. */
  refresh(state: AutomatonState): AutomatonState {
    if (state.generation === this.#generation) return state;
    return this.#stateOf(state.stacks.map((stack) => this.#rebuild(stack)));
  }

  /** Clears the cache if it has too many states; returns whether it did. */
  clearIfFull(): boolean {
    const full = this.#count > MAX_STATES;
    if (full) this.clear();
    return full;
  }

  /** Drops all states and the derivatives of the nodes. */
  clear(): void {
    this.#generation++;
    this.#count = 0;
    this.#bottom = new Stack(null, null);
    this.#known = new Map();
    for (const node of this.#nodes) node.clearCache();
  }

  #transition({ stacks }: AutomatonState, byteClass: number): AutomatonState | null {
    const byte = this.#bytes[byteClass];
    const found = new Set<Stack>();
    let work = 0;
    for (let stack of stacks) {
      while (stack.node !== null && (work < MAX_TRANSITION_WORK || found.size === 0)) {
        work++;
        const below = stack.below!;
        for (const continuation of stack.node.continuationsAfter(byte, byteClass)) {
          work++;
          if (found.size < MAX_ALTERNATIVES) {
            found.add(continuation.reduceRight((on, node) => on.push(node), below));
          }
        }
        if (!stack.node.nullable) break;
        stack = below;
      }
    }
    this.work += work;
    return found.size === 0 ? null : this.#stateOf([...found]);
  }

  #stateOf(stacks: readonly Stack[]): AutomatonState {
    const [first] = stacks;
    if (stacks.length === 1) return first.singletonState ??= this.#create(stacks);
    this.work += 4 * stacks.length;
    const sorted = [...stacks].sort((a, b) => a.id - b.id);
    const name = sorted.map(({ id }) => id).join();
    let state = this.#known.get(name);
    if (!state) this.#known.set(name, state = this.#create(sorted));
    return state;
  }

  #create(stacks: readonly Stack[]): AutomatonState {
    this.#count++;
    this.work += 16 + 4 * stacks.length;
    return new AutomatonState(stacks, this.#generation);
  }

  #rebuild(stack: Stack): Stack {
    const nodes: Node[] = [];
    for (let one = stack; one.node !== null; one = one.below!) nodes.push(one.node);
    return nodes.reduceRight((on, node) => on.push(node), this.#bottom);
  }
}

/** Returns the first byte of each class. A class ends where a range of any node starts or ends. */
function classStarts(nodes: readonly Node[]): number[] {
  const starts = new Set([0]);
  for (const node of nodes) {
    if (node instanceof ByteNode) {
      for (const [low, high] of node.ranges) starts.add(low).add(high + 1);
    } else if (node instanceof TextNode) {
      for (const byte of node.bytes) starts.add(byte).add(byte + 1);
    }
  }
  starts.delete(256);
  return [...starts].sort((a, b) => a - b);
}
