/** What `serve` logs of its start and its end where no person looks on, for whoever waits for it. */

import type { EngineInfo, LoadTimes } from "../engine/engine.ts";
import type { LogFields, Logger } from "../core/log.ts";

/** Begins the line that tells where the worker listens. */
export const SERVING_PREFIX = "Serving on ";

/** Tells that turns are taken. */
export const READY_MESSAGE = "Ready";

/** Is the last line, which tells what has become of all turns. */
export const STOPPED_MESSAGE = "Stopped";

/** The engine's parts of loading, in order. */
export const LOAD_PHASES: readonly (keyof LoadTimes)[] = [
  "model",
  "device",
  "tuning",
  "weights",
  "kernels",
];

/** The field that tells how long a part took. */
export function loadField(part: keyof LoadTimes): string {
  return `${part}_ms`;
}

/** Logs which engine runs and why. */
export function logDevice(log: Logger, { selection }: EngineInfo): void {
  if (selection?.warning) log.warn(selection.warning);
  else if (selection) log.info(selection.reason);
}

/** Whole milliseconds of each part. */
export function loadFields({ loading }: EngineInfo): LogFields {
  const told = LOAD_PHASES.filter((part) => loading[part] !== undefined);
  return Object.fromEntries(told.map((part) => [loadField(part), Math.round(loading[part]!)]));
}
