/** Copies the token shifts written by a step to where the next step reads them. */

import source from "./commit_shift.wgsl" with { type: "text" };
import type { KernelSpec } from "./spec.ts";

export interface CommitShiftSizes {
  width: number;
  /** Token shifts in the model: two per layer. */
  sites: number;
  /** Elements between two sites. */
  siteStride: number;
}

/**
 * Shapes: runs `u32[runs, 4]`: slot, first row, count, 0; shiftOut and shiftIn
 * `[sites, siteStride / width, width]` by slot. Copies `shiftOut` to `shiftIn` for the slots of
 * `runs`.
 */
export const commitShift: KernelSpec<CommitShiftSizes> = {
  name: "commit_shift",
  source: () => source,
  bindings: () => ({ runs: "read", shiftOut: "read", shiftIn: "readWrite" }),
  constants: ({ width, siteStride }) => ({
    WIDTH4: width / 4,
    SITE4: siteStride / 4,
    THREADS: 32,
  }),
  grid: ({ sites }, { runs }) => [runs, sites, 1],
};
