/** Which turns may wait for a slot, which get one, and which give theirs up to others. */

import { InferenceError } from "../core/errors.ts";
import type { ScheduledTurn } from "./scheduled_turn.ts";
import type { SchedulerStats } from "./scheduler_stats.ts";
import { turnToPreempt } from "./preemption.ts";
import type { RunningTurns } from "./running_turns.ts";

export interface AdmissionOptions {
  running: RunningTurns;
  stats: SchedulerStats;
  /** Slots of the engine. */
  slots: number;
  /** Requests that wait for a slot at most; a key that has fewer than its share may add to them. */
  maxQueue: number;
  /** Turns of one key that run or wait at most. */
  maxPerFairnessKey: number;
}

export class Admission {
  readonly waiting = new TurnQueue<ScheduledTurn>();
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Keys of turns that run or wait. */
  get keys(): Set<string> {
    const keys = this.waiting.keys;
    for (const { fairnessKey: key } of this.#options.running) keys.add(key);
    return keys;
  }

  /** Turns that wait for a slot, or for the one whose prompt is theirs. */
  get waitingTurns(): number {
    return this.waiting.turnCount() + this.#count((turn) => turn.followers.length);
  }

  /**
   * Asserts that a request may wait.
   *
   * @param count Its turns.
   * @throws InferenceError `overloaded`, `too_many_turns` or `invalid_value`
   */
  assertCanEnqueue(key: string, count: number): void {
    const { stats: counts, slots, maxPerFairnessKey: maxPerKey } = this.#options;
    if (count > maxPerKey) {
      throw new InferenceError(
        "invalid_value",
        `n: ${count} choices are asked for, and a key may have ${maxPerKey} turns under way`,
        { param: "n" },
      );
    }
    const waiting = this.waiting.requestCount();
    const own = this.waiting.turnCount(key) +
      this.#count((turn) => turn.fairnessKey === key ? 1 + turn.followers.length : 0);
    const crowded = own + count > maxPerKey;
    if (!crowded && this.#mayWait(key, waiting)) return;
    counts.total.queueRejections++;
    const retryAfter = counts.secondsUntilFree(waiting, slots);
    const again = `try again in ${retryAfter} s`;
    if (crowded) {
      throw new InferenceError(
        "too_many_turns",
        `${own} turns of this key are under way, of ${maxPerKey} that may; ${again}`,
        { retryAfter },
      );
    }
    throw new InferenceError(
      "overloaded",
      `The queue is full (${waiting} requests waiting); ${again}`,
      { retryAfter },
    );
  }

  /** Gives free slots to turns that wait. */
  admit(): void {
    const { running } = this.#options;
    while (running.freeSlots > 0) {
      const turn = this.waiting.next(running);
      if (!turn) return;
      running.add(turn);
    }
  }

  /** Tells turns to leave their slots to others that wait, where that makes it fair. */
  preempt(now: number): void {
    const { running } = this.#options;
    if (running.freeSlots > 0) return;
    const staying = [...running].filter(({ preempted }) => !preempted);
    const key = this.waiting.peek(staying)?.fairnessKey;
    if (key === undefined) return;
    const waiting = this.waiting.turnCount(key);
    for (let turn; (turn = turnToPreempt(running, { key, waiting, now }));) turn.preempted = true;
  }

  /** Takes turns that were told to leave out of their slots, and gives these to others. */
  suspendPreempted(): void {
    const { running } = this.#options;
    const leaving = [...running].filter(({ preempted, stepsInFlight: stepsAhead, loading }) => {
      return preempted && stepsAhead === 0 && !loading;
    });
    if (leaving.length === 0) return;
    for (const turn of leaving) running.suspend(turn);
    this.admit();
    this.waiting.pushFront(leaving);
  }

  /** Whether a key that has no slot is about to get one: it is not to wait for further steps. */
  get isSlotDue(): boolean {
    const turns = [...this.#options.running];
    if (!turns.some(({ preempted }) => preempted)) return false;
    const served = new Set(turns.map(({ fairnessKey: key }) => key));
    return [...this.waiting.keys].some((key) => !served.has(key));
  }

  /** Whether a request of `key` may wait: in a full queue those that have less than their share. */
  #mayWait(key: string, waiting: number): boolean {
    const { maxQueue } = this.#options;
    if (waiting < maxQueue) return true;
    const keys = this.waiting.keys.add(key).size;
    return keys > 1 && this.waiting.requestCount(key) < Math.max(1, Math.floor(maxQueue / keys));
  }

  #count(of: (running: ScheduledTurn) => number): number {
    return [...this.#options.running].reduce((sum, turn) => sum + of(turn), 0);
  }
}

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
