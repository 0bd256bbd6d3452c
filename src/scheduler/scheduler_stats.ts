/** What an operator asks of a scheduler. */

/** Counts since the start, but for what is now. */
export interface SchedulerSnapshot {
  /** Turns that may have a slot at once. */
  slots: number;
  /** Turns that have a slot now. */
  running: number;
  /** Turns that wait for one now. */
  waiting: number;
  /** Turns in the last step that has come back. */
  batchSize: number;
  /** Turns that have ended. */
  turnsEnded: number;
  /** Turns that were not taken. */
  queueRejections: number;
  /** Steps that the engine was called for. */
  steps: number;
  /** Tokens of prompts. */
  prefillTokens: number;
  /** Tokens that were written. */
  sampledTokens: number;
  /** Tokens sampled per second while there are any: a moving mean. */
  tokensPerSecond: number;
  /** Times that a turn was suspended, to leave its slot to another tenant's. */
  preemptions: number;
  /** Turns whose slot still held the state that they went on from. */
  warmSlotHits: number;
  /** Seconds that turns have waited for a slot, in all. */
  queueSeconds: number;
}

/** Seconds over which rates are averaged. */
const MEMORY_SECONDS = 5;

export class SchedulerStats {
  readonly total = {
    batchSize: 0,
    turnsEnded: 0,
    queueRejections: 0,
    steps: 0,
    prefillTokens: 0,
    sampledTokens: 0,
    tokensPerSecond: 0,
    preemptions: 0,
    warmSlotHits: 0,
    queueSeconds: 0,
  };
  /** Milliseconds that a turn keeps its slot: a moving mean. */
  #turnMs: number | null = null;

  stepCompleted({ batch, steps, read, sampled, ms }: {
    batch: number;
    steps: number;
    read: number;
    sampled: number;
    ms: number;
  }): void {
    const { total } = this;
    total.batchSize = batch;
    total.steps += steps;
    total.prefillTokens += read;
    total.sampledTokens += sampled;
    const weight = 1 - Math.exp(-ms / 1000 / MEMORY_SECONDS);
    if (ms > 0) total.tokensPerSecond += weight * (sampled / ms * 1000 - total.tokensPerSecond);
  }

  /** A turn has given back its slot after `ms` milliseconds. */
  turnsEnded(ms: number): void {
    this.total.turnsEnded++;
    this.#turnMs = this.#turnMs === null ? ms : 0.8 * this.#turnMs + 0.2 * ms;
  }

  /** Seconds until a slot may be free for one behind `waiting` others. */
  secondsUntilFree(waiting: number, slots: number): number {
    return Math.max(1, Math.ceil((this.#turnMs ?? 0) / 1000 * (waiting + 1) / slots));
  }
}
