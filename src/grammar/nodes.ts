/**
 * A grammar as nodes with partial derivatives: each node lists its possible first bytes and the
 * continuations of each. This is Antimirov's construction ("Partial derivatives of regular expressions and
 * finite automaton constructions", 1996), extended to rules. Derivatives are computed on first use,
 * so the cost of a repetition does not depend on its maximum count.
 */

/** One of the bytes `low` to `high`, followed by the nodes of `continuation` in order. */
export interface Edge {
  low: number;
  high: number;
  continuation: readonly Node[];
}

/** A part of a grammar, with cached derivatives. */
export abstract class Node {
  #edges: readonly Edge[] | null = null;
  #continuations: (readonly (readonly Node[])[])[] = [];

  /** Whether the node matches the empty text. */
  abstract readonly nullable: boolean;

  protected abstract derive(): readonly Edge[];

  get edges(): readonly Edge[] {
    return this.#edges ??= this.derive();
  }

  /** Returns the continuations after a byte. They are the same for all bytes of `byteClass`. */
  continuationsAfter(byte: number, byteClass: number): readonly (readonly Node[])[] {
    return this.#continuations[byteClass] ??= this.edges
      .filter(({ low, high }) => low <= byte && byte <= high)
      .map(({ continuation }) => continuation);
  }

  /** Drops the cached derivatives and the nodes that were created for them. */
  clearCache(): void {
    this.#edges = null;
    this.#continuations = [];
  }
}

/** Matches the empty text. */
export class EmptyNode extends Node {
  readonly nullable = true;

  protected derive(): readonly Edge[] {
    return [];
  }
}

/** Matches one byte within the ranges. */
export class ByteNode extends Node {
  readonly nullable = false;

  constructor(readonly ranges: readonly (readonly [low: number, high: number])[]) {
    super();
  }

  protected derive(): readonly Edge[] {
    return this.ranges.map(([low, high]) => ({ low, high, continuation: [] }));
  }
}

/** Matches a sequence of one or more bytes. */
export class TextNode extends Node {
  readonly nullable = false;

  constructor(readonly bytes: Uint8Array) {
    super();
  }

  protected derive(): readonly Edge[] {
    const [byte] = this.bytes;
    const rest = this.bytes.length === 1 ? [] : [new TextNode(this.bytes.subarray(1))];
    return [{ low: byte, high: byte, continuation: rest }];
  }
}

/** Matches `first` and then `second`. */
export class PairNode extends Node {
  readonly nullable: boolean;

  constructor(readonly first: Node, readonly second: Node) {
    super();
    this.nullable = first.nullable && second.nullable;
  }

  protected derive(): readonly Edge[] {
    const { first, second } = this;
    const edges = first.edges.map((edge) => ({
      ...edge,
      continuation: [...edge.continuation, second],
    }));
    return first.nullable ? [...edges, ...second.edges] : edges;
  }
}

/** Matches any one of its options. */
export class ChoiceNode extends Node {
  readonly nullable: boolean;

  constructor(readonly options: readonly Node[]) {
    super();
    this.nullable = options.some(({ nullable }) => nullable);
  }

  protected derive(): readonly Edge[] {
    return this.options.flatMap(({ edges }) => edges);
  }
}

/** Matches `part` from `min` to `max` times. */
export class RepeatNode extends Node {
  readonly nullable: boolean;
  readonly #min: number;
  #remainder: readonly Node[] | null = null;

  /** @param max 1 or more, or Infinity */
  constructor(readonly part: Node, min: number, readonly max: number) {
    super();
    this.#min = part.nullable ? 0 : min;
    this.nullable = this.#min === 0;
  }

  protected derive(): readonly Edge[] {
    const remainder = this.#remainder ??= this.#remaining();
    return this.part.edges.map((edge) => ({
      ...edge,
      continuation: [...edge.continuation, ...remainder],
    }));
  }

  /** Returns the repetition that remains after one more match of the part. */
  #remaining(): readonly Node[] {
    if (this.max === 1) return [];
    if (this.max === Infinity && this.#min === 0) return [this];
    return [new RepeatNode(this.part, Math.max(0, this.#min - 1), this.max - 1)];
  }

  override clearCache(): void {
    super.clearCache();
    this.#remainder = null;
  }
}

/** Matches the body of a rule. */
export class RuleNode extends Node {
  /** Set once all rules are built; rules can refer to each other. */
  body: Node | null = null;

  constructor(readonly nullable: boolean) {
    super();
  }

  protected derive(): readonly Edge[] {
    return this.body!.edges;
  }
}
