/**
 * A grammar as a machine over bytes: a state is the set of all that may be left to come. States are
 * made when they are first reached, and all of them forgotten when they have become too many.
 */

import { ByteNode, type Node, TextNode } from "./nodes.ts";
import { MAX_WAYS } from "./build.ts";

/** Nodes that are to come, one after the other. Two of the same nodes are one object. */
class Stack {
  static #count = 0;
  readonly id: number = Stack.#count++;
  /** Whether nothing more has to come. */
  readonly ends: boolean;
  /** The state of this one alone. */
  alone: State | null = null;
  /** Made when there are some: most have none. */
  #above: Map<Node, Stack> | null = null;

  /** @param node `null`: nothing is to come. */
  constructor(readonly node: Node | null, readonly below: Stack | null) {
    this.ends = node === null || node.nullable && below!.ends;
  }

  with(node: Node): Stack {
    const known = this.#above?.get(node);
    if (known) return known;
    const above = new Stack(node, this);
    (this.#above ??= new Map()).set(node, above);
    return above;
  }
}

/** What may be left to come, as alternatives. */
export class State {
  /** By the class of a byte; `null`: it may not come. */
  readonly next: (State | null | undefined)[] = [];
  /** Whether nothing more has to come. */
  readonly ends: boolean;
  /** For whoever works out which tokens may come. */
  allowed: Int32Array | null = null;

  constructor(readonly stacks: readonly Stack[], readonly age: number) {
    this.ends = stacks.some(({ ends }) => ends);
  }
}

/** States are forgotten when there are more. */
const MAX_STATES = 4096;

/** Ways that are looked at for one next byte. Others are left out, but never the last one. */
const MAX_LOOKS = 4 * MAX_WAYS;

export class States {
  /** `[256]`: bytes of one class are the same to the grammar. */
  readonly classOf: Uint8Array;
  /** A measure of the work that has been done. */
  work = 0;
  readonly #root: Node;
  readonly #nodes: readonly Node[];
  /** `[classes]`: a byte of each. */
  readonly #bytes: Uint8Array;
  #age = 0;
  #count = 0;
  #bottom = new Stack(null, null);
  #known = new Map<string, State>();

  constructor(root: Node, nodes: readonly Node[]) {
    this.#root = root;
    this.#nodes = nodes;
    const starts = classStarts(nodes);
    this.#bytes = Uint8Array.from(starts);
    this.classOf = new Uint8Array(256);
    starts.forEach((start, i) => this.classOf.fill(i, start));
  }

  /** Before any byte. */
  start(): State {
    return this.#state([this.#bottom.with(this.#root)]);
  }

  /** The state after a byte; `null` if it may not come. */
  after(state: State, byte: number): State | null {
    const byteClass = this.classOf[byte];
    const known = state.next[byteClass];
    return known !== undefined ? known : state.next[byteClass] = this.#after(state, byteClass);
  }

  /** The same state, among those that are not forgotten. */
  current(state: State): State {
    if (state.age === this.#age) return state;
    return this.#state(state.stacks.map((stack) => this.#rebuilt(stack)));
  }

  /** Forgets all states if they have become too many; tells whether it did. */
  tidy(): boolean {
    const many = this.#count > MAX_STATES;
    if (many) this.forget();
    return many;
  }

  forget(): void {
    this.#age++;
    this.#count = 0;
    this.#bottom = new Stack(null, null);
    this.#known = new Map();
    for (const node of this.#nodes) node.forget();
  }

  #after({ stacks }: State, byteClass: number): State | null {
    const byte = this.#bytes[byteClass];
    const found = new Set<Stack>();
    let looks = 0;
    for (let stack of stacks) {
      while (stack.node !== null && (looks < MAX_LOOKS || found.size === 0)) {
        looks++;
        const below = stack.below!;
        for (const rest of stack.node.restsAfter(byte, byteClass)) {
          looks++;
          if (found.size < MAX_WAYS) {
            found.add(rest.reduceRight((on, node) => on.with(node), below));
          }
        }
        if (!stack.node.nullable) break;
        stack = below;
      }
    }
    this.work += looks;
    return found.size === 0 ? null : this.#state([...found]);
  }

  #state(stacks: readonly Stack[]): State {
    const [first] = stacks;
    if (stacks.length === 1) return first.alone ??= this.#made(stacks);
    this.work += 4 * stacks.length;
    const sorted = [...stacks].sort((a, b) => a.id - b.id);
    const name = sorted.map(({ id }) => id).join();
    let state = this.#known.get(name);
    if (!state) this.#known.set(name, state = this.#made(sorted));
    return state;
  }

  #made(stacks: readonly Stack[]): State {
    this.#count++;
    this.work += 16 + 4 * stacks.length;
    return new State(stacks, this.#age);
  }

  #rebuilt(stack: Stack): Stack {
    const nodes: Node[] = [];
    for (let one = stack; one.node !== null; one = one.below!) nodes.push(one.node);
    return nodes.reduceRight((on, node) => on.with(node), this.#bottom);
  }
}

/** First bytes of the classes: a class ends where a range of any node begins or ends. */
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
