/**
 * WKV5, the recurrence of RWKV-5's time mix:
 * `y[j] = sum_i r[i] * (u[i] * k[i] * v[j] + S[i, j])`, then
 * `S[i, j] = w[i] * S[i, j] + k[i] * v[j]`, i the key and j the value channel of a head.
 *
 * Two kernels for the same sums in the same order: `wkv5` for steps with one token a run, which
 * works on the state where it lies, and `wkv5Chunk`, which keeps a head's state in registers over
 * all tokens of its run. Sums start from `runs[].w`, a zero that the compiler cannot see; linear.ts
 * tells why.
 */

import declarations from "./wkv5_bindings.wgsl" with { type: "text" };
import chunkSource from "./wkv5_chunk.wgsl" with { type: "text" };
import source from "./wkv5.wgsl" with { type: "text" };
import type { RunRows } from "./norm_shift.ts";
import type { Access, KernelSpec } from "./spec.ts";

export interface Wkv5Sizes {
  heads: number;
  /** N, a multiple of 4. */
  headSize: number;
}

function bindings(): Record<string, Access> {
  return {
    r: "read",
    k: "read",
    v: "read",
    w: "read",
    u: "read",
    runs: "read",
    state: "readWrite",
    y: "readWrite",
  };
}

/**
 * Shapes: r, k, v, y `[tokens, heads, N]`; w (the decay in (0, 1)) and u `[heads, N]`; runs
 * `u32[runs, 4]`: slot, first row, count, 0; state `[slots, heads, N, N]` as [key, value], updated
 * in place. Takes the first row of every run and no other.
 */
export const wkv5: KernelSpec<Wkv5Sizes> = {
  name: "wkv5",
  source: () => `${declarations}\n${source}`,
  bindings,
  constants: ({ heads, headSize }) => ({ HEADS: heads, N: headSize }),
  grid: ({ heads }, { runs }) => [heads, runs, 1],
};

/** As `wkv5`, for runs of any length. */
export const wkv5Chunk: KernelSpec<Wkv5Sizes> = {
  ...wkv5,
  name: "wkv5_chunk",
  source: () => `${declarations}\n${chunkSource}`,
};

/** Plain loops over runs; state `[slots, heads, N, N]` and y are written. */
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
