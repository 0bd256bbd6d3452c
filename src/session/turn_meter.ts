/** Measures one turn for telemetry and charges its tokens. */

import { InferenceError } from "../core/errors.ts";
import type { Telemetry, TurnMetrics, TurnOutcome, TurnPhase } from "../core/telemetry.ts";
import type { GenerationResult } from "../scheduler/scheduler_types.ts";
import { blobsOf, type Manifest } from "../store/states/manifest.ts";
import type { TokenCharge } from "../core/token_charge.ts";
import type { Usage } from "./session_types.ts";

export interface TurnMeterOptions {
  telemetry: Telemetry;
  /** Returns epoch milliseconds. */
  clock: () => number;
  /** Arrival of the request, by that clock. */
  startedAt: number;
  /** Whether prompt tokens count for this turn. Several choices share one prompt. */
  processesPrompt: boolean;
}

const OUTCOME: Record<GenerationResult["reason"], TurnOutcome> = {
  stop: "stop",
  length: "length",
  timeout: "length",
  cancelled: "cancelled",
};

export class TurnMeter {
  readonly #options: TurnMeterOptions;
  readonly #parts: TurnPhase[] = [];
  /** Reports the metrics of the turn, once. */
  #report: ((turn: TurnMetrics) => void) | null;
  #submitted = 0;
  #charge: TokenCharge | null = null;
  /** Times of the first and the last tokens. */
  #first: number | null = null;
  #last: number | null = null;

  constructor(options: TurnMeterOptions) {
    this.#options = options;
    this.#report = options.telemetry.turnStarted();
  }

  /** Records that the turn waits for a slot. */
  submitted(): void {
    this.#submitted = this.#options.clock();
  }

  /** Sets the charge for generated tokens. */
  setCharge(charge: TokenCharge): void {
    this.#charge = charge;
  }

  /** Records `count` new tokens. */
  onTokens(count: number): void {
    this.#charge?.generated(count);
    const { telemetry, clock, startedAt } = this.#options;
    const now = clock();
    if (this.#last === null) telemetry.timeToFirstToken((now - startedAt) / 1000);
    else telemetry.interTokenLatency(count, (now - this.#last) / 1000 / count);
    this.#first ??= now;
    this.#last = now;
  }

  /** Measures loading the initial state. */
  async measureStateLoad<T>(state: Promise<T>): Promise<T> {
    const from = this.#options.clock();
    const loaded = await state;
    this.#addPhase("state load", from, this.#options.clock());
    return loaded;
  }

  /**
   * Starts measuring the save of the final state. Call the result with the stored manifest, or with
   * `null` if saving failed.
   */
  startStateSave(): (stored: Manifest | null) => void {
    const { telemetry, clock } = this.#options;
    const start = clock();
    return (stored) => {
      const bytes = stored && blobsOf(stored).reduce((sum, { bytes }) => sum + bytes, 0);
      telemetry.stateSaved(bytes, (clock() - start) / 1000);
      this.#addPhase("state save", start, clock());
    };
  }

  /**
   * Reports the end of the turn.
   *
   * @param queuedMs Milliseconds in the queue; `null` if the turn got no slot.
   */
  ended(reason: GenerationResult["reason"], queuedMs: number | null, usage: Usage): void {
    const { prompt_tokens, prompt_tokens_details, completion_tokens } = usage;
    const countsPrompt = this.#options.processesPrompt;
    if (queuedMs !== null) this.#addPhases(this.#submitted + queuedMs);
    this.#end({
      outcome: OUTCOME[reason],
      queuedSeconds: queuedMs === null ? null : queuedMs / 1000,
      promptTokens: countsPrompt ? prompt_tokens : 0,
      cachedTokens: countsPrompt ? prompt_tokens_details.cached_tokens : 0,
      completionTokens: completion_tokens,
    });
  }

  /**
   * Reports a failed turn. Has no effect after `ended`, when only moving the conversation can fail.
   */
  failed(error: unknown): void {
    const cancelled = error instanceof InferenceError && error.code === "cancelled";
    this.#end({
      outcome: cancelled ? "cancelled" : "error",
      queuedSeconds: null,
      promptTokens: 0,
      cachedTokens: 0,
      completionTokens: 0,
    });
  }

  /**
   * Adds the phases of the turn.
   *
   * @param slotTime When the turn got its slot.
   */
  #addPhases(slotTime: number): void {
    this.#addPhase("queue", this.#submitted, slotTime);
    if (this.#first === null || this.#last === null) return;
    this.#addPhase("prefill", slotTime, this.#first);
    this.#addPhase("decode", this.#first, this.#last);
  }

  #addPhase(name: TurnPhase["name"], from: number, to: number): void {
    this.#parts.push({ name, startMs: from, endMs: Math.max(from, to) });
  }

  #end(turn: Omit<TurnMetrics, "seconds" | "phases">): void {
    const { clock, startedAt } = this.#options;
    this.#report?.({ ...turn, seconds: (clock() - startedAt) / 1000, phases: this.#parts });
    this.#report = null;
  }
}
