/**
 * A grammar as nodes that tell which bytes may come first, and what is left to come after each:
 * Antimirov's partial derivatives ("Partial derivatives of regular expressions and finite automaton
 * constructions", 1996), carried on to rules. All of it is worked out when it is first needed, so a
 * repetition costs what is used of it, however often it may go on.
 */

/** One of these bytes may come next, and then `rest`, one node after the other. */
export interface Edge {
  low: number;
  high: number;
  rest: readonly Node[];
}

export abstract class Node {
  #edges: readonly Edge[] | null = null;
  #rests: (readonly (readonly Node[])[])[] = [];

  /** Whether it can be nothing at all. */
  abstract readonly nullable: boolean;

  protected abstract derive(): readonly Edge[];

  get edges(): readonly Edge[] {
    return this.#edges ??= this.derive();
  }

  /** What may be left after a byte. Bytes of one class, of which it is one, never differ in that. */
  restsAfter(byte: number, byteClass: number): readonly (readonly Node[])[] {
    return this.#rests[byteClass] ??= this.edges
      .filter(({ low, high }) => low <= byte && byte <= high)
      .map(({ rest }) => rest);
  }

  /** Forgets what it has worked out, and the nodes that were made for it. */
  forget(): void {
    this.#edges = null;
    this.#rests = [];
  }
}

export class EmptyNode extends Node {
  readonly nullable = true;

  protected derive(): readonly Edge[] {
    return [];
  }
}

/** A byte of these ranges. */
export class ByteNode extends Node {
  readonly nullable = false;

  constructor(readonly ranges: readonly (readonly [low: number, high: number])[]) {
    super();
  }

  protected derive(): readonly Edge[] {
    return this.ranges.map(([low, high]) => ({ low, high, rest: [] }));
  }
}

/** These bytes, at least one. */
export class TextNode extends Node {
  readonly nullable = false;

  constructor(readonly bytes: Uint8Array) {
    super();
  }

  protected derive(): readonly Edge[] {
    const [byte] = this.bytes;
    const rest = this.bytes.length === 1 ? [] : [new TextNode(this.bytes.subarray(1))];
    return [{ low: byte, high: byte, rest }];
  }
}

export class PairNode extends Node {
  readonly nullable: boolean;

  constructor(readonly first: Node, readonly second: Node) {
    super();
    this.nullable = first.nullable && second.nullable;
  }

  protected derive(): readonly Edge[] {
    const { first, second } = this;
    const edges = first.edges.map((edge) => ({ ...edge, rest: [...edge.rest, second] }));
    return first.nullable ? [...edges, ...second.edges] : edges;
  }
}

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

export class RepeatNode extends Node {
  readonly nullable: boolean;
  readonly #min: number;
  #less: readonly Node[] | null = null;

  /** @param max 1 or more; may be Infinity */
  constructor(readonly part: Node, min: number, readonly max: number) {
    super();
    this.#min = part.nullable ? 0 : min;
    this.nullable = this.#min === 0;
  }

  protected derive(): readonly Edge[] {
    const less = this.#less ??= this.#remaining();
    return this.part.edges.map((edge) => ({ ...edge, rest: [...edge.rest, ...less] }));
  }

  /** What may come when the part has been there once more. */
  #remaining(): readonly Node[] {
    if (this.max === 1) return [];
    if (this.max === Infinity && this.#min === 0) return [this];
    return [new RepeatNode(this.part, Math.max(0, this.#min - 1), this.max - 1)];
  }

  override forget(): void {
    super.forget();
    this.#less = null;
  }
}

export class RuleNode extends Node {
  /** Set when all rules are known. */
  body: Node | null = null;

  constructor(readonly nullable: boolean) {
    super();
  }

  protected derive(): readonly Edge[] {
    return this.body!.edges;
  }
}
