/** How an engine that is replaced when it fails is told of, and within what bounds it is replaced. */

import type { FaultKind, InferenceError } from "../../core/errors.ts";

/** How the one who uses an engine's slots hears that they are lost. */
export interface Renewal {
  /** Lets `listener` know of each failure: all slots are lost, and every call rejects from then on. */
  onFault(listener: (error: InferenceError) => void): void;

  /**
   * Resolves when there is an engine again, all slots of which are free; calls are taken from then
   * on.
   *
   * @throws InferenceError `device_lost` when there will be none any more.
   */
  renew(): Promise<void>;
}

/** How it is. */
export interface EngineStatus {
  /** Whether it can be called, will be able to again, or never more. */
  state: "running" | "rebuilding" | "failed";
  /** What has failed last, where it can't be called. */
  fault: FaultKind | null;
}

/** What happens to it. */
export interface EngineEvents {
  /** Something has failed: the whole engine, or one turn alone, whose state gives no numbers. */
  onFault(kind: FaultKind, error: Error, what: "engine" | "turn"): void;
  /** There is an engine again, after so many seconds. */
  onRebuilt(seconds: number): void;
  /** There will be none any more. */
  onEnd(error: InferenceError): void;
}

/** Milliseconds, but for `faults`. */
export interface LastingLimits {
  /** That any call may take. */
  silence: number;
  /** That a software adapter may take as long as its speed is not known. */
  softwareSilence: number;
  /** That nothing may be heard of an engine that is opened again. */
  opening: number;
  /** That an old engine may take to free its device. */
  closing: number;
  /** From a failure to open an engine to the next try. */
  pause: number;
  /** Failures in a row, without a turn that ends well between, with which it is over. */
  faults: number;
}

export const LASTING_LIMITS: LastingLimits = {
  silence: 30_000,
  softwareSilence: 600_000,
  opening: 300_000,
  closing: 10_000,
  pause: 3000,
  faults: 3,
};
