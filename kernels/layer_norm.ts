/** Constants and reference shared by the kernels that normalize a row. */

export const LAYER_NORM_EPS = 1e-5;

/** Threads, and therefore partial sums, per normalized row. Fixed, because results depend on it. */
export const NORM_THREADS = 32;

/** Reference: `(v - mean) / sqrt(variance + eps) * weight + bias`; norm `[2, length]`. */
export function layerNormReference(
  row: Float32Array,
  norm: Float32Array,
  eps = LAYER_NORM_EPS,
): Float32Array {
  const n = row.length;
  let mean = 0;
  for (const v of row) mean += v / n;
  let variance = 0;
  for (const v of row) variance += (v - mean) ** 2 / n;
  return row.map((v, c) => (v - mean) / Math.sqrt(variance + eps) * norm[c] + norm[n + c]);
}
