/**
 * Events that the worker's components report, for metrics and traces. Callers do not wait for
 * listeners, and listeners must not throw.
 */

import type { ErrorCode, FaultKind, LimitKind } from "./errors.ts";

/** How a turn ended: the finish reason sent to the client, or an error. */
export type TurnOutcome = "stop" | "length" | "cancelled" | "error";

/** Measurements of a turn that has ended. */
export interface TurnMetrics {
  /** How it ended. */
  outcome: TurnOutcome;
  /** Time from the turn's arrival until its state is stored. */
  seconds: number;
  /** Time in the queue; `null` if the turn never got a slot. */
  queuedSeconds: number | null;
  /** Prompt tokens as reported to the client; like the other counts, 0 after an error. */
  promptTokens: number;
  /** Prompt tokens that were not reprocessed. */
  cachedTokens: number;
  /** Tokens of the reply. */
  completionTokens: number;
  /** The phases of the turn, unordered. */
  phases: readonly TurnPhase[];
}

/** A phase of a turn: work or waiting. */
export interface TurnPhase {
  /** The phase. */
  name: "queue" | "state load" | "prefill" | "decode" | "state save";
  /** Epoch milliseconds. */
  startMs: number;
  /** Epoch milliseconds. */
  endMs: number;
}

/** Why a turn was not started: the error code sent to the client. */
export type RejectionReason = ErrorCode | "internal_error";

/** A listener to these events. */
export interface Telemetry {
  /** The first token of a reply was sampled, `seconds` after the turn's arrival. */
  timeToFirstToken(seconds: number): void;
  /** `count` more tokens were sampled, each `seconds` after the previous one. */
  interTokenLatency(count: number, seconds: number): void;
  /** `count` turns were requested. Call the result with the reason if none of them is started. */
  turnsRequested(count: number): (why: RejectionReason) => void;
  /** A turn started, in the context of its request. Call the result when it ends. */
  turnStarted(): (turn: TurnMetrics) => void;
  /** A state was loaded from memory or from the store. */
  stateLoaded(from: "memory" | "store", bytes: number, seconds: number): void;
  /** A state was saved; `null` bytes: saving failed. */
  stateSaved(bytes: number | null, seconds: number): void;
  /** A request was rejected because it exceeds a limit of its key. */
  limitExceeded(limit: LimitKind): void;
  /** A database operation failed temporarily and is retried. */
  storeRetried(): void;
  /** The engine or one of its turns failed. */
  engineFailed(kind: FaultKind): void;
  /** A failed engine was replaced. */
  engineRebuilt(): void;
}

/** A listener that ignores all events. */
export const NO_TELEMETRY: Telemetry = {
  timeToFirstToken() {},
  interTokenLatency() {},
  turnsRequested: () => () => {},
  turnStarted: () => () => {},
  stateLoaded() {},
  stateSaved() {},
  limitExceeded() {},
  storeRetried() {},
  engineFailed() {},
  engineRebuilt() {},
};
