/** Device buffers for sampling. */

import { columnGroups } from "../../../kernels/layouts.ts";
import { SAMPLED_HEADER, SLOT_WORDS, STOPS_STRIDE } from "../../../kernels/slot_layout.ts";
import type { TokenTable } from "../../core/sampling.ts";
import { type DeviceBuffers, StagingRing } from "../../gpu/mod.ts";

/** Maximum steps per window; a window's tokens are read together. */
export const MAX_STEPS = 64;

/** Words per slot of the sampled tokens: number of ids, finish code, ids. */
export const SAMPLED_STRIDE = SAMPLED_HEADER + MAX_STEPS;

/** Shapes as in `kernels/sample.ts`. */
export interface SamplingBuffers {
  adjustments: GPUBuffer;
  slots: GPUBuffer;
  stops: GPUBuffer;
  vocabulary: GPUBuffer;
  sampled: GPUBuffer;
  staging: StagingRing;
}

export interface SamplingSizes {
  slots: number;
  vocabulary: number;
  /** Without it, no id is banned and no id has bytes. */
  tokenTable: TokenTable | undefined;
}

/** Creates the buffers, without contents. */
export function createSamplingBuffers(
  buffers: DeviceBuffers,
  { slots, vocabulary, tokenTable }: SamplingSizes,
): SamplingBuffers {
  const work = (label: string, bytes: number) => buffers.storage("work", label, bytes);
  const sampledBytes = slots * SAMPLED_STRIDE * 4;
  return {
    adjustments: work("adjustments", slots * logitsStride({ vocabulary }) * 2 * 4),
    slots: work("slots", slots * SLOT_WORDS * 4),
    stops: work("stops", slots * STOPS_STRIDE * 4),
    vocabulary: work("vocabulary", (vocabulary + 1) * 4 + (tokenTable?.bytes.length ?? 0)),
    sampled: work("sampled", sampledBytes),
    // Two, so that one is read while the other is written.
    staging: new StagingRing([0, 1].map(() => buffers.staging("work", "sampled", sampledBytes))),
  };
}

/** Returns the padded vocabulary size: the length of rows of logits, bias and counts. */
export function logitsStride({ vocabulary }: { vocabulary: number }): number {
  return columnGroups(vocabulary) * 4;
}
