/** Formats a worker's model and device for display. */

import type { EngineInfo } from "../../engine/engine.ts";
import { type Flags, stringFlag } from "../../settings/flags.ts";

/** @param id Id of the model. */
export function modelLabel(id: string, flags: Flags): string {
  const explicit = stringFlag(flags, "model") !== undefined ||
    stringFlag(flags, "shape") !== undefined;
  return explicit ? id : `${id}, a tiny demo model`;
}

/** Prints the warning about the selected device, if there is one. */
export function printDeviceWarning({ selection }: EngineInfo): void {
  if (selection?.warning) console.error(selection.warning);
}

export function deviceLabel(
  { device, adapter, software }: Pick<EngineInfo, "device"> & {
    adapter?: string | null | undefined;
    software?: boolean | undefined;
  },
): string {
  if (device === "cpu") return "the CPU";
  return software ? `${adapter}, a software adapter` : `${adapter}`;
}
