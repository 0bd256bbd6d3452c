/** Says before loading whether a model fits, and what would fit instead. */

import { InferenceError } from "../core/errors.ts";
import { type MemoryBytes, totalBytes } from "../gpu/mod.ts";
import type { Model } from "../model/load.ts";
import { type Quant, QUANT_NAMES } from "../quant/mod.ts";

/** Memory that a process takes beside what an engine allocates, at most. */
export const HOST_OVERHEAD_BYTES = 256 * 2 ** 20;

/** A model, a place for it, and what an engine would allocate there. */
export interface MemoryRequirement {
  model: Model;
  quant: Quant;
  /** What has the memory: an adapter, or this machine. */
  deviceName: string;
  /** Bytes. */
  availableBytes: number;
  measureMemory: (quant: Quant) => MemoryBytes;
}

/** @throws InferenceError `insufficient_memory` with both figures and what would fit. */
export function assertFitsInMemory(fit: MemoryRequirement): void {
  const { model, quant, deviceName: place, availableBytes: available, measureMemory: measure } =
    fit;
  const needed = totalBytes(measure(quant));
  if (needed <= available) return;
  throw new InferenceError(
    "insufficient_memory",
    `Cannot hold ${model.name} as ${quant}: it needs ${sizeText(needed)} of memory and ${place} ` +
      `has ${sizeText(available)} free; ${remedy(fit, needed)}`,
    { param: "quant" },
  );
}

/** The widest of the narrower formats that fits, if any does. */
function remedy(
  { model, availableBytes: available, measureMemory: measure }: MemoryRequirement,
  needed: number,
): string {
  const narrower = QUANT_NAMES.map((name) => ({ name, bytes: totalBytes(measure(name)) }))
    .filter(({ bytes }) => bytes < needed);
  const fitting = narrower.find(({ bytes }) => bytes <= available);
  if (!fitting) {
    const least = narrower.at(-1);
    return "no smaller format would fit" +
      (least ? `: ${least.name} needs ${sizeText(least.bytes)}` : "");
  }
  const size = sizeText(fitting.bytes);
  return model.converted
    ? `${fitting.name} needs ${size}: convert its original file with --quant ${fitting.name}`
    : `--quant ${fitting.name} needs ${size}`;
}

/** For people: `1.75 GB`, `0.05 MB`. */
function sizeText(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(2)} MB`;
}
