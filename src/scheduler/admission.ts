/** Which turns may wait for a slot, which get one, and which give theirs up to others. */

import { InferenceError } from "../core/errors.ts";
import type { ScheduledTurn } from "./scheduled_turn.ts";
import type { SchedulerStats } from "./scheduler_stats.ts";
import { turnToPreempt } from "./preemption.ts";
import type { RunningTurns } from "./running_turns.ts";
import { TurnQueue } from "./turn_queue.ts";

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
