/** Turns that wait for a slot: first come first served within a key, and keys in turn. */

/** What the queue sees of a turn. */
export interface QueuedTurn {
  readonly fairnessKey: string;
  /** The request that it belongs to. */
  readonly request: object;
  /** Turns of the same key that wait for this one. */
  readonly followers: readonly unknown[];
}

export class TurnQueue<T extends QueuedTurn> {
  readonly #turns: T[] = [];

  /** Turns that `next` will give. */
  get length(): number {
    return this.#turns.length;
  }

  push(turn: T): void {
    this.#turns.push(turn);
  }

  /** Lets turns in before all others. */
  pushFront(turns: readonly T[]): void {
    this.#turns.unshift(...turns);
  }

  /** How many turns wait, of one key or of all, followers included. */
  turnCount(key?: string): number {
    return this.#turns
      .filter((turn) => key === undefined || turn.fairnessKey === key)
      .reduce((sum, { followers }) => sum + 1 + followers.length, 0);
  }

  /** Keys that have turns here. */
  get keys(): Set<string> {
    return new Set(this.#turns.map(({ fairnessKey: key }) => key));
  }

  /** How many requests wait, of one key or of all. */
  requestCount(key?: string): number {
    const turns = this.#turns.filter((turn) => key === undefined || turn.fairnessKey === key);
    return new Set(turns.map(({ request }) => request)).size;
  }

  /** Takes the turn that `peek` gives. */
  next(running: Iterable<Pick<QueuedTurn, "fairnessKey">>): T | undefined {
    const turn = this.peek(running);
    if (turn) this.#turns.splice(this.#turns.indexOf(turn), 1);
    return turn;
  }

  /** The first turn of the key with the fewest in `running`; of several, who came first. */
  peek(running: Iterable<Pick<QueuedTurn, "fairnessKey">>): T | undefined {
    const counts = new Map<string, number>();
    for (const { fairnessKey: key } of running) counts.set(key, (counts.get(key) ?? 0) + 1);
    let best: T | undefined;
    for (const turn of this.#turns) {
      if (!best || (counts.get(turn.fairnessKey) ?? 0) < (counts.get(best.fairnessKey) ?? 0)) {
        best = turn;
      }
    }
    return best;
  }

  /** Takes out all turns that `test` holds for. */
  remove(test: (turn: T) => boolean): T[] {
    const taken = this.#turns.filter(test);
    for (const turn of taken) this.#turns.splice(this.#turns.indexOf(turn), 1);
    return taken;
  }
}
