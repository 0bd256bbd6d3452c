/** Checks before loading whether a model fits into memory, and suggests a format that does. */

import { InferenceError } from "../core/errors.ts";
import { type MemoryBytes, totalBytes } from "../gpu/mod.ts";
import type { Model } from "../model/load.ts";
import { type Quant, QUANT_NAMES } from "../quant/mod.ts";

/** Upper bound of the process memory beyond what an engine allocates. */
export const HOST_OVERHEAD_BYTES = 256 * 2 ** 20;

/** A model, the memory of a device, and the bytes that an engine would allocate there. */
export interface MemoryRequirement {
  model: Model;
  quant: Quant;
  /** Name of the memory's owner: an adapter, or this machine. */
  deviceName: string;
  availableBytes: number;
  measureMemory: (quant: Quant) => MemoryBytes;
}

/** @throws InferenceError `insufficient_memory` with both sizes and a format that would fit. */
export function assertFitsInMemory(fit: MemoryRequirement): void {
  const { model, quant, deviceName, availableBytes, measureMemory } = fit;
  const needed = totalBytes(measureMemory(quant));
  if (needed <= availableBytes) return;
  throw new InferenceError(
    "insufficient_memory",
    `Cannot load ${model.name} as ${quant}: it needs ${
      sizeText(needed)
    } of memory and ${deviceName} ` +
      `has ${sizeText(availableBytes)} free; ${remedy(fit, needed)}`,
    { param: "quant" },
  );
}

/** Suggests the largest format below `needed` that fits, if any. */
function remedy(
  { model, availableBytes, measureMemory }: MemoryRequirement,
  needed: number,
): string {
  const narrower = QUANT_NAMES.map((name) => ({ name, bytes: totalBytes(measureMemory(name)) }))
    .filter(({ bytes }) => bytes < needed);
  const fitting = narrower.find(({ bytes }) => bytes <= availableBytes);
  if (!fitting) {
    const smallest = narrower.at(-1);
    return "no smaller format would fit" +
      (smallest ? `: ${smallest.name} needs ${sizeText(smallest.bytes)}` : "");
  }
  const size = sizeText(fitting.bytes);
  return model.converted
    ? `${fitting.name} needs ${size}: convert the original file with --quant ${fitting.name}`
    : `--quant ${fitting.name} needs ${size}`;
}

/** Formats a size, such as `1.75 GB` or `0.05 MB`. */
function sizeText(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(2)} MB`;
}
