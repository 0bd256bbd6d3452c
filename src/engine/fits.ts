/** Says before loading whether a model fits, and what would fit instead. */

import { InferenceError } from "../core/errors.ts";
import { type MemoryBytes, totalBytes } from "../gpu/mod.ts";
import type { Model } from "../model/load.ts";
import { type Quant, QUANT_NAMES, type QuantName } from "../quant/mod.ts";

/** Memory that a process takes beside what an engine allocates, at most. */
export const HOST_OVERHEAD_BYTES = 256 * 2 ** 20;

/** @throws InferenceError `insufficient_memory` with both figures and what would fit. */
export function assertFits({ model, quant, place, available, measure }: {
  model: Model;
  quant: Quant;
  /** What has the memory: an adapter, or this machine. */
  place: string;
  /** Bytes. */
  available: number;
  /** What an engine would allocate. */
  measure: (quant: Quant) => MemoryBytes;
}): void {
  const needed = totalBytes(measure(quant));
  if (needed <= available) return;
  throw new InferenceError(
    "insufficient_memory",
    `Cannot hold ${model.name} as ${quant}: it needs ${gigabytes(needed)} of memory and ${place} ` +
      `has ${gigabytes(available)} free; ${remedy()}`,
    { param: "quant" },
  );

  function remedy(): string {
    const narrower = QUANT_NAMES.map((name) => ({ name, bytes: totalBytesAs(name) }))
      .filter(({ bytes }) => bytes < needed);
    const fitting = narrower.find(({ bytes }) => bytes <= available);
    if (fitting && model.converted) {
      return `as ${fitting.name} it would need ${gigabytes(fitting.bytes)}: convert its original ` +
        `file with --quant ${fitting.name}`;
    }
    if (fitting) return `--quant ${fitting.name} needs ${gigabytes(fitting.bytes)}`;
    const least = narrower.at(-1);
    return `no smaller format would fit` +
      (least ? `: ${least.name} needs ${gigabytes(least.bytes)}` : "");
  }

  function totalBytesAs(name: QuantName): number {
    return totalBytes(measure(name));
  }
}

/** For people: `1.75 GB`. */
function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
