/**
 * A worker's engine: runs in a Web Worker and restarts with the same configuration after a failure.
 */

import type { FaultKind } from "../core/errors.ts";
import type { Telemetry } from "../core/telemetry.ts";
import type { EngineInfo, OnNotice, OnProgress } from "../engine/engine.ts";
import { EngineSupervisor } from "../engine/supervisor/engine_supervisor.ts";
import type {
  EngineEvents,
  EngineStatus,
  SupervisorLimits,
} from "../engine/supervisor/engine_recovery.ts";
import { type EngineOptions, type OpenEngine, openEngineWorker } from "./open_engine.ts";

export interface SupervisedEngineOptions {
  telemetry: Telemetry;
  onProgress?: OnProgress | undefined;
  onNotice?: OnNotice | undefined;
  /** Called in addition to `telemetry`. */
  events?: Partial<EngineEvents> | undefined;
  /** Defaults to `openEngineWorker`. */
  openEngine?: OpenEngine | undefined;
  limits?: Partial<SupervisorLimits> | undefined;
}

/** Opens the engine. Throws like `openEngine`. */
export function openSupervisedEngine(
  options: EngineOptions,
  { telemetry, onProgress, onNotice, events, openEngine = openEngineWorker, limits }:
    SupervisedEngineOptions,
): Promise<EngineSupervisor> {
  return EngineSupervisor.open({
    open: (previous, callbacks) =>
      openEngine(previous === null ? options : sameConfiguration(previous, options), {
        ...callbacks,
        onNotice,
      }),
    onProgress,
    limits,
    events: {
      ...events,
      onFault: (kind, error, what) => {
        telemetry.engineFailed(kind);
        events?.onFault?.(kind, error, what);
      },
      onRebuilt: (seconds) => {
        telemetry.engineRebuilt();
        events?.onRebuilt?.(seconds);
      },
    },
  });
}

/** Keeps the number of slots and the kind of device, so that a GPU is not replaced by the CPU. */
function sameConfiguration({ slots, device }: EngineInfo, options: EngineOptions): EngineOptions {
  return { ...options, device, slots, minSlots: slots };
}

const FAULT_TEXTS: Record<FaultKind, string> = {
  device_lost: "The GPU was lost",
  out_of_memory: "The GPU is out of memory",
  shader: "The GPU driver cannot compile a kernel",
  refused: "The GPU rejected commands",
  numeric: "The GPU returned NaN or infinite values",
  hung: "The GPU does not respond",
  worker: "The engine's Web Worker has exited",
  reload: "The model could not be reloaded",
};

/** Returns why no turn can run, or `null` if the engine is running. */
export function describeFault({ state, fault }: EngineStatus): string | null {
  if (fault === null || state === "running") return null;
  return state === "rebuilding"
    ? `${FAULT_TEXTS[fault]}: the engine is restarting`
    : `${FAULT_TEXTS[fault]}, after several failures in a row: this worker accepts no more turns`;
}
