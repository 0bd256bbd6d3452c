/**
 * Layer norm fused with the token shift; the outputs are the inputs of the next matrices.
 *
 * `xx = layer_norm(x)`, then for every mix m `out[m] = xx * mix[m] + prev * (1 - mix[m])`, where
 * `prev` is the xx of the previous token: of the previous row within a run, or the stored shift for
 * a run's first token.
 */

import source from "./norm_shift.wgsl" with { type: "text" };
import { LAYER_NORM_EPS, layerNormReference, NORM_THREADS } from "./layer_norm.ts";
import { reduceSource } from "./reduce.ts";
import type { KernelSpec } from "./spec.ts";

export interface NormShiftSizes {
  width: number;
  /** Number of mixes. */
  mixes: number;
  /** Elements between two mixes' planes in `out`. */
  plane: number;
}

/**
 * Shapes: x `[tokens, width]`; norm `[2, width]`; mix `[mixes, width]`; rows `u32[tokens, 4]`: id,
 * slot, 1 if first of its run, 1 if last; shiftIn and shiftOut `[slots, width]`: the shift read by
 * a run's first token, and the one written by its last; out `[mixes, plane / width, width]`.
 *
 * `shiftIn` and `shiftOut` are separate buffers because the first and the last token of a run are
 * processed concurrently.
 */
export const normShift: KernelSpec<NormShiftSizes> = {
  name: "norm_shift",
  source: () => `${reduceSource(NORM_THREADS)}\n${source}`,
  bindings: () => ({
    x: "read",
    norm: "read",
    mix: "read",
    rows: "read",
    shiftIn: "read",
    shiftOut: "readWrite",
    out: "readWrite",
  }),
  constants: ({ width, mixes, plane }) => ({
    WIDTH4: width / 4,
    MIXES: mixes,
    PLANE4: plane / 4,
    THREADS: NORM_THREADS,
    EPS: { f32: LAYER_NORM_EPS },
  }),
  grid: (_, { tokens }) => [tokens, 1, 1],
};

/** One run of consecutive tokens: rows `first` to `first + count - 1`, in `slot`. */
export interface RunRows {
  slot: number;
  first: number;
  count: number;
}

/** Reference in plain loops over runs; reads and replaces shift `[slots, width]`. */
export function normShiftReference(
  data: {
    x: Float32Array;
    norm: Float32Array;
    mix: Float32Array;
    shift: Float32Array;
    out: Float32Array;
  },
  { width, mixes, plane, runs }: NormShiftSizes & { runs: readonly RunRows[] },
): void {
  for (const { slot, first, count } of runs) {
    let previous: Float32Array = data.shift.slice(slot * width, (slot + 1) * width);
    for (let t = first; t < first + count; t++) {
      const xx = layerNormReference(data.x.subarray(t * width, (t + 1) * width), data.norm);
      for (let m = 0; m < mixes; m++) {
        for (let c = 0; c < width; c++) {
          const mix = data.mix[m * width + c];
          data.out[m * plane + t * width + c] = xx[c] * mix + previous[c] * (1 - mix);
        }
      }
      previous = xx;
    }
    data.shift.set(previous, slot * width);
  }
}
