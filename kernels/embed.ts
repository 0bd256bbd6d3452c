/**
 * Looks up and normalizes the embeddings of token ids: `x = layer_norm(emb[id], ln0)`, in float32.
 */

import type { WeightType } from "./layouts.ts";
import { LAYER_NORM_EPS, layerNormReference, NORM_THREADS } from "./layer_norm.ts";
import source from "./embed.wgsl" with { type: "text" };
import { reduceSource } from "./reduce.ts";
import type { KernelSpec } from "./spec.ts";
import { WEIGHT_READER, weightConstants } from "./weights.ts";

export interface EmbedSizes {
  /** This part of the table has `ids` ids from `firstId` on; tokens with other ids are skipped. */
  firstId: number;
  ids: number;
  width: number;
  type: WeightType;
}

/**
 * Shapes: weights, a part of the table `[ids, width]` in the layout of layouts.ts; norm
 * `[2, width]`, weight and bias; rows `u32[tokens, 4]` with the id first; x `f32[tokens, width]`.
 */
export const embed: KernelSpec<EmbedSizes> = {
  name: "embed",
  source: ({ type }) => `${WEIGHT_READER[type]}\n${reduceSource(NORM_THREADS)}\n${source}`,
  bindings: () => ({ weights: "read", norm: "read", rows: "read", x: "readWrite" }),
  constants: ({ firstId, ids, width, type }) => ({
    FIRST_ID: firstId,
    IDS: ids,
    ...weightConstants({ rows: ids, columns: width, type }),
    THREADS: NORM_THREADS,
    EPS: { f32: LAYER_NORM_EPS },
  }),
  grid: (_, { tokens }) => [tokens, 1, 1],
};

/**
 * Reference in plain loops. table `[ids, width]`, norm `[2, width]`; writes x `[tokens, width]`.
 */
export function embedReference(
  data: { table: Float32Array; norm: Float32Array; ids: readonly number[]; x: Float32Array },
  width: number,
): void {
  data.ids.forEach((id, t) => {
    const row = data.table.subarray(id * width, (id + 1) * width);
    data.x.set(layerNormReference(row, data.norm), t * width);
  });
}
