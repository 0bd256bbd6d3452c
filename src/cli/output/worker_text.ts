/** A worker's model and device as people read them. */

import type { EngineInfo } from "../../engine/engine.ts";
import { type Flags, text } from "../../settings/flags.ts";

/** @param id The model's. */
export function modelLabel(id: string, flags: Flags): string {
  const own = text(flags, "model") !== undefined || text(flags, "shape") !== undefined;
  return own ? id : `${id}, a tiny model to try things with`;
}

/** Prints what a person should know about the selected device. */
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
