/** The final layer norm, applied only to tokens that need logits. */

import source from "./select_norm.wgsl" with { type: "text" };
import { LAYER_NORM_EPS, NORM_THREADS } from "./layer_norm.ts";
import { reduceSource } from "./reduce.ts";
import type { KernelSpec } from "./spec.ts";

/**
 * Shapes: x `[tokens, width]`; norm `[2, width]`; outputRows `u32[outputs]`, row indices of x; y
 * `[outputs, width]`, `y[o] = layer_norm(x[outputRows[o]])`.
 */
export const selectNorm: KernelSpec<{ width: number }> = {
  name: "select_norm",
  source: () => `${reduceSource(NORM_THREADS)}\n${source}`,
  bindings: () => ({ x: "read", norm: "read", outputRows: "read", y: "readWrite" }),
  constants: ({ width }) => ({
    WIDTH4: width / 4,
    THREADS: NORM_THREADS,
    EPS: { f32: LAYER_NORM_EPS },
  }),
  grid: (_, { outputs }) => [outputs, 1, 1],
};
