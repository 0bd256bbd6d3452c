/** Device buffers of slots that sample. */

import { columnGroups } from "../../../kernels/layouts.ts";
import { SAMPLED_HEADER, SLOT_WORDS, STOPS_STRIDE } from "../../../kernels/slot_layout.ts";
import type { TokenTable } from "../../core/sampling.ts";
import { type DeviceBuffers, StagingRing } from "../../gpu/mod.ts";

/** Steps that are done before their tokens are read, at most. */
export const MAX_STEPS = 64;

/** Words that a slot writes: how many ids, why it ended, ids. */
export const SAMPLED_STRIDE = SAMPLED_HEADER + MAX_STEPS;

/** Shapes as `kernels/sample.ts` tells. */
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
  /** Without it no id is banned, and none has bytes. */
  tokenTable: TokenTable | undefined;
}

/** Makes the buffers; none is filled. */
export function createSamplingBuffers(
  buffers: DeviceBuffers,
  { slots, vocabulary, tokenTable: tokens }: SamplingSizes,
): SamplingBuffers {
  const work = (label: string, bytes: number) => buffers.storage("work", label, bytes);
  const written = slots * SAMPLED_STRIDE * 4;
  return {
    adjustments: work("adjustments", slots * logitsStride({ vocabulary }) * 2 * 4),
    slots: work("slots", slots * SLOT_WORDS * 4),
    stops: work("stops", slots * STOPS_STRIDE * 4),
    vocabulary: work("vocabulary", (vocabulary + 1) * 4 + (tokens?.bytes.length ?? 0)),
    sampled: work("written", written),
    // One is read while the other is written.
    staging: new StagingRing([0, 1].map(() => buffers.staging("work", "written", written))),
  };
}

/** Numbers between two tokens' logits, and in a slot's bias and counts: the vocabulary, padded. */
export function logitsStride({ vocabulary }: { vocabulary: number }): number {
  return columnGroups(vocabulary) * 4;
}
