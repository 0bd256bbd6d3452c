/** What an operator asks of a scheduler. */

/** Counts since the start, but for what is now. */
export interface SchedulerNumbers {
  /** Turns that may have a slot at once. */
  slots: number;
  /** Turns that have a slot now. */
  running: number;
  /** Turns that wait for one now. */
  waiting: number;
  /** Turns in the last step that has come back. */
  batch: number;
  /** Turns that have ended. */
  ended: number;
  /** Turns that were not taken. */
  refused: number;
  /** Steps that the engine was called for. */
  steps: number;
  /** Tokens of prompts. */
  tokensRead: number;
  /** Tokens that were written. */
  tokensSampled: number;
  /** Tokens sampled per second while there are any: a moving mean. */
  tokensPerSecond: number;
  /** Times that a turn was suspended, to leave its slot to another tenant's. */
  preempted: number;
  /** Turns whose slot still held the state that they went on from. */
  warm: number;
  /** Seconds that turns have waited for a slot, in all. */
  secondsQueued: number;
}

/** Seconds over which rates are averaged. */
const MEMORY_SECONDS = 5;

export class Counts {
  readonly total = {
    batch: 0,
    ended: 0,
    refused: 0,
    steps: 0,
    tokensRead: 0,
    tokensSampled: 0,
    tokensPerSecond: 0,
    preempted: 0,
    warm: 0,
    secondsQueued: 0,
  };
  /** Milliseconds that a turn keeps its slot: a moving mean. */
  #turnMs: number | null = null;

  landed({ batch, steps, read, sampled, ms }: {
    batch: number;
    steps: number;
    read: number;
    sampled: number;
    ms: number;
  }): void {
    const { total } = this;
    total.batch = batch;
    total.steps += steps;
    total.tokensRead += read;
    total.tokensSampled += sampled;
    const weight = 1 - Math.exp(-ms / 1000 / MEMORY_SECONDS);
    if (ms > 0) total.tokensPerSecond += weight * (sampled / ms * 1000 - total.tokensPerSecond);
  }

  /** A turn has given back its slot after `ms` milliseconds. */
  ended(ms: number): void {
    this.total.ended++;
    this.#turnMs = this.#turnMs === null ? ms : 0.8 * this.#turnMs + 0.2 * ms;
  }

  /** Seconds until a slot may be free for one behind `waiting` others. */
  secondsUntilFree(waiting: number, slots: number): number {
    return Math.max(1, Math.ceil((this.#turnMs ?? 0) / 1000 * (waiting + 1) / slots));
  }
}
