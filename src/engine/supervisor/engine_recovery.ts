/** Interfaces, events and limits of recovery from engine failures. */

import type { FaultKind, InferenceError } from "../../core/errors.ts";

/** Reports engine failures, which lose the states in all slots, to the engine's caller. */
export interface EngineRecovery {
  /** Sets a listener for failures. All slots are lost then, and calls reject until `recover`. */
  onFault(listener: (error: InferenceError) => void): void;

  /**
   * Acknowledges a failure. Resolves when an engine is running again, with all slots free; from
   * then on it accepts calls.
   *
   * @throws InferenceError `device_lost` if the engine cannot be restarted.
   */
  recover(): Promise<void>;
}

/** Status of an engine that restarts after failures. */
export interface EngineStatus {
  /** "failed" is final. */
  state: "running" | "rebuilding" | "failed";
  /** Cause of the last failure; `null` while running. */
  fault: FaultKind | null;
}

/** Callbacks for failures and restarts. */
export interface EngineEvents {
  /** The whole engine failed, or a single turn whose state yields NaN or infinite logits. */
  onFault(kind: FaultKind, error: Error, what: "engine" | "turn"): void;
  /** The engine was restarted within the given seconds. */
  onRebuilt(seconds: number): void;
  /** The engine cannot be restarted. */
  onFailed(error: InferenceError): void;
}

/** Timeouts in milliseconds, and the maximum number of failures. */
export interface SupervisorLimits {
  /** Minimum timeout of a call. */
  callTimeout: number;
  /** Timeout of calls to a software adapter until its speed has been measured. */
  softwareCallTimeout: number;
  /** Timeout without progress while an engine is restarted. */
  openTimeout: number;
  /** Timeout for a failed engine to free its device. */
  closeTimeout: number;
  /** Delay between a failed restart and the next attempt. */
  retryDelay: number;
  /** Failures in a row, without a completed turn, after which the supervisor gives up. */
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
