/**
 * Samples the next tokens on the device, so that a step does not wait until the previous one is
 * read back. Applies bias, penalties, top-p, top-k and temperature, draws a token, and checks
 * whether the turn ends.
 *
 * The reference is `src/sampler/sampler.ts`. Nothing is sorted. For top-p and top-k, a radix search
 * over the bits of the logits' distance from the maximum finds the cutoff, in four passes over the
 * logits. For the draw, sixteen groups of threads each sum a sixteenth of the vocabulary, then a
 * sixteenth of the part that the random number falls into, until one token remains.
 */

import philox from "./philox.wgsl" with { type: "text" };
import filter from "./sample_filter.wgsl" with { type: "text" };
import source from "./sample.wgsl" with { type: "text" };
import { columnGroups } from "./layouts.ts";
import { BANNED_BIAS, SAMPLED_HEADER, slotConstants } from "./slot_layout.ts";
import type { KernelSpec } from "./spec.ts";

export interface SampleSizes {
  vocabulary: number;
  /** Maximum tokens that a slot samples before they are read. */
  window: number;
  /** Threads per group; a workgroup has sixteen groups. */
  lanes: number;
}

/** Groups of threads per workgroup. */
const GROUPS = 16;

/**
 * Shapes: logits `[outputs, ids]`, where ids is the vocabulary rounded up to a multiple of 4;
 * adjustments `[slots, 2, ids]`: bias, counts; slots and stops as in slot_layout.ts; vocabulary
 * `u32`: the start of each id's bytes and the end of the last one, then the bytes; rows
 * `u32[tokens, 4]`; outputRows `u32[outputs]`; sampled `u32[slots, 2 + window]`: the number of ids,
 * a `FINISH` code, then the ids.
 */
export const sample: KernelSpec<SampleSizes> = {
  name: "sample",
  source: () => `${philox}\n${filter}\n${source}`,
  bindings: () => ({
    logits: "readWrite",
    adjustments: "readWrite",
    slots: "readWrite",
    stops: "read",
    vocabulary: "read",
    rows: "read",
    outputRows: "read",
    sampled: "readWrite",
  }),
  constants: ({ vocabulary, window, lanes }) => ({
    ...slotConstants(),
    IDS: vocabulary,
    QUADS: columnGroups(vocabulary),
    LANES: lanes,
    THREADS: GROUPS * lanes,
    LEVELS: Math.max(1, Math.ceil(Math.log2(columnGroups(vocabulary)) / Math.log2(GROUPS))),
    BANNED: { f32: BANNED_BIAS / 2 },
    SAMPLED_STRIDE: SAMPLED_HEADER + window,
  }),
  grid: (_, { outputs }) => [outputs, 1, 1],
  // Logits and bias, once: later passes over the logits hit the cache.
  bytes: ({ vocabulary }, { outputs }) => outputs * vocabulary * 8,
};
