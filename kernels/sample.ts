/**
 * Chooses the next tokens on the device, so that a step need not wait for the one before to be read
 * back: bias, penalties, top-p, top-k, temperature, the draw, and whether the turn ends.
 *
 * The oracle is `src/sampler/sampler.ts`. Nothing is sorted. For the cuts, a radix search by the bits
 * of the logits' distance from the top finds the last one that stays, in four rounds over the
 * logits. For the draw, sixteen groups of threads add up a sixteenth of the vocabulary each, then a
 * sixteenth of the one that the random number falls into, until one token is left.
 */

import philox from "./philox.wgsl" with { type: "text" };
import cut from "./sample_filter.wgsl" with { type: "text" };
import source from "./sample.wgsl" with { type: "text" };
import { columnGroups } from "./layouts.ts";
import { BANNED_BIAS, SAMPLED_HEADER, slotConstants } from "./slot_layout.ts";
import type { KernelSpec } from "./spec.ts";

export interface SampleSizes {
  vocabulary: number;
  /** Tokens that a slot writes at most before they are read. */
  window: number;
  /** A sixteenth of the threads of a workgroup. */
  lanes: number;
}

/** Groups of threads. */
const GROUPS = 16;

/**
 * Shapes: logits `[outputs, ids]`, ids the vocabulary rounded up to a multiple of 4; adjustments
 * `[slots, 2, ids]`: bias, counts; slots and stops as slot_words.ts tells; vocabulary `u32`: where
 * the bytes of each id begin and the last one's end, then the bytes; rows `u32[tokens, 4]`; chosen
 * `u32[outputs]`; written `u32[slots, 2 + window]`: how many ids, an `END`, ids.
 */
export const sample: KernelSpec<SampleSizes> = {
  name: "sample",
  source: () => `${philox}\n${cut}\n${source}`,
  bindings: () => ({
    logits: "readWrite",
    adjustments: "readWrite",
    slots: "readWrite",
    stops: "read",
    vocabulary: "read",
    rows: "read",
    chosen: "read",
    written: "readWrite",
  }),
  constants: ({ vocabulary, window, lanes }) => ({
    ...slotConstants(),
    IDS: vocabulary,
    QUADS: columnGroups(vocabulary),
    LANES: lanes,
    THREADS: GROUPS * lanes,
    LEVELS: Math.max(1, Math.ceil(Math.log2(columnGroups(vocabulary)) / Math.log2(GROUPS))),
    BANNED: { f32: BANNED_BIAS / 2 },
    WRITTEN_STRIDE: SAMPLED_HEADER + window,
  }),
  grid: (_, { outputs }) => [outputs, 1, 1],
  // Logits and bias, once; what a cut reads again is near by then.
  bytes: ({ vocabulary }, { outputs }) => outputs * vocabulary * 8,
};
