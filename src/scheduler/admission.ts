/**
 * Admission control: decides which requests may wait for a slot, which turn gets the next free
 * slot, and which running turns are preempted.
 */

import { InferenceError } from "../core/errors.ts";
import type { ScheduledTurn } from "./scheduled_turn.ts";
import type { SchedulerStats } from "./scheduler_stats.ts";
import { turnToPreempt } from "./preemption.ts";
import type { RunningTurns } from "./running_turns.ts";

export interface AdmissionOptions {
  running: RunningTurns;
  stats: SchedulerStats;
  /** Number of slots of the engine. */
  slots: number;
  /** Maximum number of waiting requests. A key below its share of the queue may exceed it. */
  maxQueue: number;
  /** Maximum number of running and waiting turns of one key. */
  maxPerFairnessKey: number;
}

export class Admission {
  readonly waiting = new TurnQueue<ScheduledTurn>();
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Keys with running or waiting turns. */
  get keys(): Set<string> {
    const keys = this.waiting.keys;
    for (const { fairnessKey } of this.#options.running) keys.add(fairnessKey);
    return keys;
  }

  /** Number of turns that wait for a slot or for the shared prompt of their leader. */
  get waitingTurns(): number {
    return this.waiting.turnCount() + this.#count((turn) => turn.followers.length);
  }

  /**
   * Asserts that a request may enter the queue.
   *
   * @param count Number of turns of the request.
   * @throws InferenceError `overloaded`, `too_many_turns` or `invalid_value`
   */
  assertCanEnqueue(key: string, count: number): void {
    const { stats, slots, maxPerFairnessKey } = this.#options;
    if (count > maxPerFairnessKey) {
      throw new InferenceError(
        "invalid_value",
        `n: ${count} choices exceed the limit of ${maxPerFairnessKey} concurrent turns per key; request fewer`,
        { param: "n" },
      );
    }
    const waiting = this.waiting.requestCount();
    const keyTurns = this.waiting.turnCount(key) +
      this.#count((turn) => turn.fairnessKey === key ? 1 + turn.followers.length : 0);
    const keyLimitReached = keyTurns + count > maxPerFairnessKey;
    if (!keyLimitReached && this.#mayQueue(key, waiting)) return;
    stats.total.queueRejections++;
    const retryAfter = stats.secondsUntilFree(waiting, slots);
    const retry = `retry in ${retryAfter} s`;
    if (keyLimitReached) {
      throw new InferenceError(
        "too_many_turns",
        `Too many turns: this key has ${keyTurns} of ${maxPerFairnessKey} concurrent turns; ${retry}`,
        { retryAfter },
      );
    }
    throw new InferenceError(
      "overloaded",
      `Queue is full (${waiting} requests waiting); ${retry}`,
      { retryAfter },
    );
  }

  /** Assigns free slots to waiting turns. */
  admit(): void {
    const { running } = this.#options;
    while (running.freeSlots > 0) {
      const turn = this.waiting.next(running);
      if (!turn) return;
      running.add(turn);
    }
  }

  /** Marks running turns for preemption where that makes the distribution of slots fair. */
  preempt(now: number): void {
    const { running } = this.#options;
    if (running.freeSlots > 0) return;
    const staying = [...running].filter(({ preempted }) => !preempted);
    const key = this.waiting.peek(staying)?.fairnessKey;
    if (key === undefined) return;
    const waiting = this.waiting.turnCount(key);
    for (let turn; (turn = turnToPreempt(running, { key, waiting, now }));) turn.preempted = true;
  }

  /** Suspends the turns that are marked for preemption and assigns their slots to others. */
  suspendPreempted(): void {
    const { running } = this.#options;
    const preemptedTurns = [...running].filter(({ preempted, stepsInFlight, loading }) => {
      return preempted && stepsInFlight === 0 && !loading;
    });
    if (preemptedTurns.length === 0) return;
    for (const turn of preemptedTurns) running.suspend(turn);
    this.admit();
    this.waiting.pushFront(preemptedTurns);
  }

  /** Whether a key without a slot is about to get one. No further steps may delay it. */
  get isSlotDue(): boolean {
    const turns = [...this.#options.running];
    if (!turns.some(({ preempted }) => preempted)) return false;
    const keysWithSlot = new Set(turns.map(({ fairnessKey }) => fairnessKey));
    return [...this.waiting.keys].some((key) => !keysWithSlot.has(key));
  }

  /** Whether a request of `key` may wait. If the queue is full, only keys below their share may. */
  #mayQueue(key: string, waiting: number): boolean {
    const { maxQueue } = this.#options;
    if (waiting < maxQueue) return true;
    const keys = this.waiting.keys.add(key).size;
    return keys > 1 && this.waiting.requestCount(key) < Math.max(1, Math.floor(maxQueue / keys));
  }

  #count(of: (running: ScheduledTurn) => number): number {
    return [...this.#options.running].reduce((sum, turn) => sum + of(turn), 0);
  }
}

/** The fields of a turn that the queue reads. */
export interface QueuedTurn {
  readonly fairnessKey: string;
  /** Identifies the HTTP request of the turn. */
  readonly request: object;
  /** Turns of the same key that wait for this one's prompt. */
  readonly followers: readonly unknown[];
}

export class TurnQueue<T extends QueuedTurn> {
  readonly #turns: T[] = [];

  /** Number of turns that `next` can return. */
  get length(): number {
    return this.#turns.length;
  }

  push(turn: T): void {
    this.#turns.push(turn);
  }

  /** Inserts turns at the front of the queue. */
  pushFront(turns: readonly T[]): void {
    this.#turns.unshift(...turns);
  }

  /** Returns the number of waiting turns of one key or of all, followers included. */
  turnCount(key?: string): number {
    return this.#turns
      .filter((turn) => key === undefined || turn.fairnessKey === key)
      .reduce((sum, { followers }) => sum + 1 + followers.length, 0);
  }

  /** Keys of the waiting turns. */
  get keys(): Set<string> {
    return new Set(this.#turns.map(({ fairnessKey }) => fairnessKey));
  }

  /** Returns the number of waiting requests of one key or of all. */
  requestCount(key?: string): number {
    const turns = this.#turns.filter((turn) => key === undefined || turn.fairnessKey === key);
    return new Set(turns.map(({ request }) => request)).size;
  }

  /** Removes and returns the turn that `peek` returns. */
  next(running: Iterable<Pick<QueuedTurn, "fairnessKey">>): T | undefined {
    const turn = this.peek(running);
    if (turn) this.#turns.splice(this.#turns.indexOf(turn), 1);
    return turn;
  }

  /** Returns the oldest turn of the key that has the fewest turns in `running`. */
  peek(running: Iterable<Pick<QueuedTurn, "fairnessKey">>): T | undefined {
    const counts = new Map<string, number>();
    for (const { fairnessKey } of running) {
      counts.set(fairnessKey, (counts.get(fairnessKey) ?? 0) + 1);
    }
    let best: T | undefined;
    for (const turn of this.#turns) {
      if (!best || (counts.get(turn.fairnessKey) ?? 0) < (counts.get(best.fairnessKey) ?? 0)) {
        best = turn;
      }
    }
    return best;
  }

  /** Removes and returns all turns that match `test`. */
  remove(test: (turn: T) => boolean): T[] {
    const taken = this.#turns.filter(test);
    for (const turn of taken) this.#turns.splice(this.#turns.indexOf(turn), 1);
    return taken;
  }
}
