/** Measures one turn, and tells of it. */

import { InferenceError } from "../core/errors.ts";
import type { Telemetry, TurnOutcome } from "../core/telemetry.ts";
import type { FinishedTurn } from "../scheduler/scheduler_types.ts";
import { blobsOf, type Manifest } from "../store/manifest.ts";
import type { Usage } from "./session_types.ts";

export interface TurnMeterOptions {
  telemetry: Telemetry;
  /** Milliseconds. */
  clock: () => number;
  /** When the turn came, by that clock. */
  came: number;
  /** Whether what it reads is to be counted: the prompt of several choices is, once. */
  readsPrompt: boolean;
}

const OUTCOME: Record<FinishedTurn["reason"], TurnOutcome> = {
  stop: "stop",
  length: "length",
  late: "length",
  cancelled: "cancelled",
};

export class TurnMeter {
  readonly #options: TurnMeterOptions;
  /** When tokens came last. */
  #last: number | null = null;
  #ended = false;

  constructor(options: TurnMeterOptions) {
    this.#options = options;
  }

  /** `count` tokens have come at once. */
  came(count: number): void {
    const { telemetry, clock, came } = this.#options;
    const now = clock();
    if (this.#last === null) telemetry.firstToken((now - came) / 1000);
    else telemetry.moreTokens(count, (now - this.#last) / 1000 / count);
    this.#last = now;
  }

  /** The turn's state is being saved: to be told what came of it, `null` if it could not be. */
  saving(): (stored: Manifest | null) => void {
    const { telemetry, clock } = this.#options;
    const start = clock();
    return (stored) => {
      const bytes = stored && blobsOf(stored).reduce((sum, { bytes }) => sum + bytes, 0);
      telemetry.stateSaved(bytes, (clock() - start) / 1000);
    };
  }

  /** @param queued Milliseconds. */
  ended(reason: FinishedTurn["reason"], queued: number | null, usage: Usage): void {
    const { prompt_tokens, prompt_tokens_details, completion_tokens } = usage;
    const read = this.#options.readsPrompt;
    this.#tell({
      outcome: OUTCOME[reason],
      queuedSeconds: queued === null ? null : queued / 1000,
      promptTokens: read ? prompt_tokens : 0,
      cachedTokens: read ? prompt_tokens_details.cached_tokens : 0,
      writtenTokens: completion_tokens,
    });
  }

  /** Tells nothing of a turn that has ended: what failed then is to move its conversation. */
  failed(error: unknown): void {
    const gone = error instanceof InferenceError && error.code === "cancelled";
    this.#tell({
      outcome: gone ? "cancelled" : "error",
      queuedSeconds: null,
      promptTokens: 0,
      cachedTokens: 0,
      writtenTokens: 0,
    });
  }

  #tell(turn: Omit<Parameters<Telemetry["turnEnded"]>[0], "seconds">): void {
    if (this.#ended) return;
    this.#ended = true;
    const { telemetry, clock, came } = this.#options;
    telemetry.turnEnded({ ...turn, seconds: (clock() - came) / 1000 });
  }
}
