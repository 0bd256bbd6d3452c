/**
 * What the worker's parts tell of what they do, for whoever counts or traces it. Nobody waits for a
 * listener, and none may throw.
 */

import type { ErrorCode, FaultKind, LimitKind } from "./errors.ts";

/** Why a turn ended: as its client was told, or why it was told of an error instead. */
export type TurnOutcome = "stop" | "length" | "cancelled" | "error";

/** A turn that has ended. */
export interface TurnMetrics {
  /** How it ended. */
  outcome: TurnOutcome;
  /** From its arrival to its end, its state stored. */
  seconds: number;
  /** In the queue, of a turn that got a slot. */
  queuedSeconds: number | null;
  /** As its client was told, and so are the others; of an error, nothing. */
  promptTokens: number;
  /** Of these, what did not have to be read again. */
  cachedTokens: number;
  /** Tokens of the reply. */
  completionTokens: number;
  /** What it did, in no order. */
  phases: readonly TurnPhase[];
}

/** Something that a turn did or waited for. */
export interface TurnPhase {
  /** Which. */
  name: "queue" | "state load" | "prefill" | "decode" | "state save";
  /** Epoch milliseconds. */
  startMs: number;
  /** Epoch milliseconds. */
  endMs: number;
}

/** Why a turn was not begun: what its client was told. */
export type RejectionReason = ErrorCode | "internal_error";

/** Who is told. Times are seconds. */
export interface Telemetry {
  /** The first token of a reply came, so long after the turn's arrival. */
  timeToFirstToken(seconds: number): void;
  /** `count` more came, each `seconds` after the one before. */
  interTokenLatency(count: number, seconds: number): void;
  /** Turns are asked for: what is returned is told why, if none of them is begun. */
  turnsRequested(count: number): (why: RejectionReason) => void;
  /** A turn is made ready, in the context of its request: what is returned is told of its end. */
  turnStarted(): (turn: TurnMetrics) => void;
  /** A state's bytes were read, from where they are held. */
  stateLoaded(from: "memory" | "store", bytes: number, seconds: number): void;
  /** All that a state consists of was written; `null`: it could not be. */
  stateSaved(bytes: number | null, seconds: number): void;
  /** A request was refused: it would have used more than its key may. */
  limitExceeded(limit: LimitKind): void;
  /** The database was busy, and is asked again. */
  storeRetried(): void;
  /** Something of the engine has failed. */
  engineFailed(kind: FaultKind): void;
  /** Another engine is in the place of one that has failed. */
  engineRebuilt(): void;
}

/** Tells nobody. */
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
