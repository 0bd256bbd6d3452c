/** How an engine that is replaced when it fails is told of, and within what bounds it is replaced. */

import type { FaultKind, InferenceError } from "../../core/errors.ts";

/** How the one who uses an engine's slots hears that they are lost. */
export interface EngineRecovery {
  /** Lets `listener` know of each failure: all slots are lost, and every call rejects from then on. */
  onFault(listener: (error: InferenceError) => void): void;

  /**
   * Resolves when there is an engine again, all slots of which are free; calls are taken from then
   * on.
   *
   * @throws InferenceError `device_lost` when there will be none any more.
   */
  recover(): Promise<void>;
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
  onFailed(error: InferenceError): void;
}

/** Milliseconds, but for `faults`. */
export interface SupervisorLimits {
  /** That any call may take. */
  callTimeout: number;
  /** That a software adapter may take as long as its speed is not known. */
  softwareCallTimeout: number;
  /** That nothing may be heard of an engine that is opened again. */
  openTimeout: number;
  /** That an old engine may take to free its device. */
  closeTimeout: number;
  /** From a failure to open an engine to the next try. */
  retryDelay: number;
  /** Failures in a row, without a turn that ends well between, with which it is over. */
  maxFaults: number;
}

export const SUPERVISOR_LIMITS: SupervisorLimits = {
  callTimeout: 30_000,
  softwareCallTimeout: 600_000,
  openTimeout: 300_000,
  closeTimeout: 10_000,
  retryDelay: 3000,
  maxFaults: 3,
};
