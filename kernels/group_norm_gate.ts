/** Group norm with one group per head, times the gate: `y = group_norm(y, ln_x) * g`. */

import source from "./group_norm_gate.wgsl" with { type: "text" };
import { layerNormReference, NORM_THREADS } from "./layer_norm.ts";
import { reduceSource } from "./reduce.ts";
import type { KernelSpec } from "./spec.ts";

export interface GroupNormGateSizes {
  heads: number;
  headSize: number;
  /** 1e-5 times head_size_divisor squared. */
  eps: number;
  /** False for version 5.0, which has no gate. */
  gated: boolean;
}

const GATE = {
  gated: `
@group(0) @binding(2) var<storage, read> gate: array<f32>;
fn gate_of(i: u32) -> f32 { return gate[i]; }
`,
  plain: "fn gate_of(i: u32) -> f32 { return 1.0; }",
};

/** Shapes: y `[tokens, heads * headSize]`, in place; norm `[2, heads * headSize]`; gate as y. */
export const groupNormGate: KernelSpec<GroupNormGateSizes> = {
  name: "group_norm_gate",
  source: ({ gated }) =>
    `${reduceSource(NORM_THREADS)}\n${gated ? GATE.gated : GATE.plain}\n${source}`,
  bindings: ({ gated }) =>
    gated ? { norm: "read", y: "readWrite", gate: "read" } : { norm: "read", y: "readWrite" },
  constants: ({ heads, headSize, eps }) => ({
    HEADS: heads,
    N: headSize,
    THREADS: NORM_THREADS,
    EPS: { f32: eps },
  }),
  grid: ({ heads }, { tokens }) => [heads, tokens, 1],
};

/** Reference in plain loops; updates y in place. */
export function groupNormGateReference(
  data: { y: Float32Array; norm: Float32Array; gate?: Float32Array },
  { heads, headSize, eps, tokens }: Omit<GroupNormGateSizes, "gated"> & { tokens: number },
): void {
  const width = heads * headSize;
  for (let t = 0; t < tokens; t++) {
    for (let h = 0; h < heads; h++) {
      const from = h * headSize;
      const norm = new Float32Array(2 * headSize);
      norm.set(data.norm.subarray(from, from + headSize));
      norm.set(data.norm.subarray(width + from, width + from + headSize), headSize);
      const start = t * width + from;
      const normed = layerNormReference(data.y.subarray(start, start + headSize), norm, eps);
      for (let j = 0; j < headSize; j++) {
        data.y[start + j] = normed[j] * (data.gate ? data.gate[start + j] : 1);
      }
    }
  }
}
