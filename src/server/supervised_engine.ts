/** A worker's engine: in a Worker of its own, and opened again, as it was, when it fails. */

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
  /** Told besides `telemetry`. */
  events?: Partial<EngineEvents> | undefined;
  /** In a Worker of its own unless told. */
  openEngine?: OpenEngine | undefined;
  limits?: Partial<SupervisorLimits> | undefined;
}

/** Opens it. Throws as `openEngine` does. */
export function openSupervisedEngine(
  options: EngineOptions,
  { telemetry, onProgress, onNotice, events, openEngine = openEngineWorker, limits }:
    SupervisedEngineOptions,
): Promise<EngineSupervisor> {
  return EngineSupervisor.open({
    open: (before, given) =>
      openEngine(before === null ? options : like(before, options), { ...given, onNotice }),
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

/** With as many slots, and nothing else in the place of a GPU. */
function like({ slots, device }: EngineInfo, options: EngineOptions): EngineOptions {
  return { ...options, device, slots, leastSlots: slots };
}

const FAILED: Record<FaultKind, string> = {
  device_lost: "The GPU was lost",
  out_of_memory: "The GPU has no memory left",
  shader: "The GPU's driver does not compile a kernel",
  refused: "The GPU refused work",
  numeric: "The GPU gave no numbers",
  hung: "The GPU does not answer",
  worker: "The engine's Worker has ended",
  reload: "The model could not be loaded again",
};

/** Why no turns are carried out, for anybody; `null` where they are. */
export function describeFault({ state, fault }: EngineStatus): string | null {
  if (fault === null || state === "running") return null;
  return state === "rebuilding"
    ? `${FAILED[fault]}: the engine is being opened again`
    : `${FAILED[fault]}, the last of several failures in a row: this worker takes no more turns`;
}
