/**
 * WKV5, the recurrence of RWKV-5's time mix:
 * `y[j] = sum_i r[i] * (u[i] * k[i] * v[j] + S[i, j])`, then
 * `S[i, j] = w[i] * S[i, j] + k[i] * v[j]`, where i is the key and j the value channel of a head.
 *
 * Two kernels compute the same sums in the same order. `wkv5Step` handles steps with one token per
 * run; it updates the state in memory and also applies the group norm and the gate. `wkv5Chunk`
 * keeps a head's state in registers over all tokens of its run. Sums start from `runs[].w`, a zero
 * that the compiler cannot see; linear.ts explains why.
 */

import chunkSource from "./wkv5_chunk.wgsl" with { type: "text" };
import stepSource from "./wkv5_step.wgsl" with { type: "text" };
import { NORM_THREADS } from "./layer_norm.ts";
import type { RunRows } from "./norm_shift.ts";
import { reduceSource } from "./reduce.ts";
import type { KernelSpec, StepCounts } from "./spec.ts";

export interface Wkv5Sizes {
  heads: number;
  /** N, a multiple of 4. */
  headSize: number;
}

/**
 * Shapes: r, k, v, y `[tokens, heads, N]`; w (the decay in (0, 1)) and u `[heads, N]`; runs
 * `u32[runs, 4]`: slot, first row, count, 0; state `[slots, heads, N, N]` as [key, value], updated
 * in place.
 */
export const wkv5Chunk: KernelSpec<Wkv5Sizes> = {
  name: "wkv5_chunk",
  source: () => chunkSource,
  bindings: () => ({
    r: "read",
    k: "read",
    v: "read",
    w: "read",
    u: "read",
    runs: "read",
    state: "readWrite",
    y: "readWrite",
  }),
  constants: ({ heads, headSize }) => ({ HEADS: heads, N: headSize }),
  grid: ({ heads }, { runs }) => [heads, runs, 1],
  bytes: stateBytes,
};

/** Returns the bytes of the states, each read and written once. */
function stateBytes({ heads, headSize }: Wkv5Sizes, { runs }: StepCounts): number {
  return runs * heads * headSize * headSize * 4 * 2;
}

export interface Wkv5StepSizes extends Wkv5Sizes {
  /** Start of r, k, v and the gate in `projected`, in elements; multiples of 4. */
  offsets: Record<"r" | "k" | "v" | "g", number>;
  /** Epsilon of the group norm: 1e-5 times head_size_divisor squared. */
  eps: number;
  /** False for version 5.0, which has no gate. */
  gated: boolean;
}

/**
 * `y = group_norm(wkv5, norm) * g`, for runs of one token. Shapes as in `wkv5Chunk`, except that
 * projected contains r, k, v and g; norm `[2, heads * N]`, weight and bias.
 */
export const wkv5Step: KernelSpec<Wkv5StepSizes> = {
  name: "wkv5_step",
  source: ({ headSize, gated }) =>
    `${reduceSource(normThreads(headSize))}
fn gate4(i: u32) -> vec4f { return ${gated ? "projected[G_AT / 4u + i]" : "vec4f(1.0)"}; }
${stepSource}`,
  bindings: () => ({
    projected: "read",
    w: "read",
    u: "read",
    runs: "read",
    state: "readWrite",
    norm: "read",
    y: "readWrite",
  }),
  constants: ({ heads, headSize, offsets, eps }) => ({
    HEADS: heads,
    N: headSize,
    R_AT: offsets.r,
    K_AT: offsets.k,
    V_AT: offsets.v,
    G_AT: offsets.g,
    THREADS: normThreads(headSize),
    EPS: { f32: eps },
  }),
  grid: ({ heads }, { runs }) => [heads, runs, 1],
  bytes: stateBytes,
};

/** Returns the number of non-empty partial sums that `groupNormGate` computes per head. */
function normThreads(headSize: number): number {
  return Math.min(NORM_THREADS, headSize);
}

/** Reference in plain loops over runs; writes state `[slots, heads, N, N]` and y. */
export function wkv5Reference(
  data: Record<"r" | "k" | "v" | "w" | "u" | "state" | "y", Float32Array>,
  { heads, headSize: N, runs }: Wkv5Sizes & { runs: readonly RunRows[] },
): void {
  for (const { slot, first, count } of runs) {
    for (let t = first; t < first + count; t++) {
      for (let h = 0; h < heads; h++) {
        const head = h * N;
        const row = t * heads * N + head;
        const S = (slot * heads + h) * N * N;
        for (let j = 0; j < N; j++) {
          let y = 0;
          for (let i = 0; i < N; i++) {
            const kv = data.k[row + i] * data.v[row + j];
            const at = S + i * N + j;
            y += data.r[row + i] * (data.u[head + i] * kv + data.state[at]);
            data.state[at] = data.w[head + i] * data.state[at] + kv;
          }
          data.y[row + j] = y;
        }
      }
    }
  }
}
