/** Log entries of the startup and shutdown of `serve`, which programs that start a worker parse. */

import type { EngineInfo, LoadTimes } from "../engine/engine.ts";
import type { LogFields, Logger } from "../core/log.ts";

/** Prefix of the message with the worker's URL. */
export const SERVING_PREFIX = "Serving on ";

/** Message when the worker is ready for turns. */
export const READY_MESSAGE = "Ready";

/** Message of the last entry, which has the turn counts. */
export const STOPPED_MESSAGE = "Stopped";

/** Loading phases of the engine, in order. */
export const LOAD_PHASES: readonly (keyof LoadTimes)[] = [
  "model",
  "device",
  "tuning",
  "weights",
  "kernels",
];

/** Returns the log field with the duration of a phase. */
export function loadField(phase: keyof LoadTimes): string {
  return `${phase}_ms`;
}

/** Logs the selected engine and the reason. */
export function logDevice(log: Logger, { selection }: EngineInfo): void {
  if (selection?.warning) log.warn(selection.warning);
  else if (selection) log.info(selection.reason);
}

/** Returns the duration of each phase in whole milliseconds. */
export function loadFields({ loading }: EngineInfo): LogFields {
  const measured = LOAD_PHASES.filter((phase) => loading[phase] !== undefined);
  return Object.fromEntries(
    measured.map((phase) => [loadField(phase), Math.round(loading[phase]!)]),
  );
}
