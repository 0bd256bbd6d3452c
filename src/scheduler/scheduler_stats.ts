/** Counters of a scheduler, for metrics and for retry estimates. */

/** Totals since the start, and current values. */
export interface SchedulerSnapshot {
  /** Number of slots. */
  slots: number;
  /** Turns in a slot now. */
  running: number;
  /** Turns that wait for a slot now. */
  waiting: number;
  /** Turns in the last completed step. */
  batchSize: number;
  /** Turns that have ended. */
  turnsEnded: number;
  /** Requests that were rejected because the queue was full or the key had too many turns. */
  queueRejections: number;
  /** Steps that were executed. */
  steps: number;
  /** Prompt tokens that were processed. */
  prefillTokens: number;
  /** Tokens that were sampled. */
  sampledTokens: number;
  /** Sampled tokens per second while turns generate, as a moving average. */
  tokensPerSecond: number;
  /** Preemptions: turns that were suspended for another key's turn. */
  preemptions: number;
  /** Turns whose slot still contained the state to resume. */
  warmSlotHits: number;
  /** Total seconds that turns have waited for a slot. */
  queueSeconds: number;
}

/** Time constant of the moving average of rates. */
const AVERAGING_SECONDS = 5;

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
  /** Moving average of the milliseconds that a turn keeps its slot. */
  #slotMs: number | null = null;

  stepCompleted({ batchSize, steps, prefillTokens, sampledTokens, ms }: {
    batchSize: number;
    steps: number;
    prefillTokens: number;
    sampledTokens: number;
    ms: number;
  }): void {
    const { total } = this;
    total.batchSize = batchSize;
    total.steps += steps;
    total.prefillTokens += prefillTokens;
    total.sampledTokens += sampledTokens;
    const weight = 1 - Math.exp(-ms / 1000 / AVERAGING_SECONDS);
    if (ms === 0) return;
    total.tokensPerSecond += weight * (sampledTokens / ms * 1000 - total.tokensPerSecond);
  }

  /** Records that a turn has released its slot after `ms` milliseconds. */
  turnEnded(ms: number): void {
    this.total.turnsEnded++;
    this.#slotMs = this.#slotMs === null ? ms : 0.8 * this.#slotMs + 0.2 * ms;
  }

  /** Estimates the seconds until a slot is free for a request behind `waiting` others. */
  secondsUntilFree(waiting: number, slots: number): number {
    return Math.max(1, Math.ceil((this.#slotMs ?? 0) / 1000 * (waiting + 1) / slots));
  }
}
