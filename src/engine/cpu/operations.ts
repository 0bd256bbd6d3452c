/** Arithmetic of the reference engine, for one token: sums in float64, results in float32. */

/** `out = (x - mean) / sqrt(variance + eps) * weight + bias`; norm `[2, x.length]`. */
export function layerNorm(x: Float32Array, norm: Float32Array, out: Float32Array, eps = 1e-5) {
  normalize(x, out, { norm, start: 0, length: x.length, eps });
}

/** Normalizes y in place with one group per head; norm `[2, y.length]`. */
export function groupNorm(
  y: Float32Array,
  norm: Float32Array,
  { headSize, eps }: { headSize: number; eps: number },
) {
  for (let start = 0; start < y.length; start += headSize) {
    normalize(y, y, { norm, start, length: headSize, eps });
  }
}

function normalize(
  x: Float32Array,
  out: Float32Array,
  { norm, start, length, eps }: { norm: Float32Array; start: number; length: number; eps: number },
) {
  const end = start + length;
  let mean = 0;
  for (let c = start; c < end; c++) mean += x[c];
  mean /= length;
  let variance = 0;
  for (let c = start; c < end; c++) variance += (x[c] - mean) * (x[c] - mean);
  const scale = 1 / Math.sqrt(variance / length + eps);
  for (let c = start; c < end; c++) {
    out[c] = (x[c] - mean) * scale * norm[c] + norm[x.length + c];
  }
}

/** Computes `out[m] = xx * mix[m] + shift * (1 - mix[m])`, then copies xx to shift. */
export function shiftMix(
  xx: Float32Array,
  mix: Float32Array,
  { shift, mixes, out }: { shift: Float32Array; mixes: number; out: Float32Array },
) {
  const width = xx.length;
  for (let m = 0; m < mixes; m++) {
    for (let c = 0; c < width; c++) {
      const a = mix[m * width + c];
      out[m * width + c] = xx[c] * a + shift[c] * (1 - a);
    }
  }
  shift.set(xx);
}

/** Calls `put` with the product of each row of `matrix` `[rows, x.length]` and x. */
export function multiply(
  matrix: Float32Array,
  x: Float32Array,
  put: (row: number, sum: number) => void,
) {
  const columns = x.length;
  const rows = matrix.length / columns;
  for (let row = 0; row < rows; row++) {
    const base = row * columns;
    // Four independent sums, because dependent additions would wait for each other.
    let a = 0, b = 0, c = 0, d = 0, i = 0;
    for (; i + 3 < columns; i += 4) {
      a += matrix[base + i] * x[i];
      b += matrix[base + i + 1] * x[i + 1];
      c += matrix[base + i + 2] * x[i + 2];
      d += matrix[base + i + 3] * x[i + 3];
    }
    for (; i < columns; i++) a += matrix[base + i] * x[i];
    put(row, a + b + (c + d));
  }
}

/**
 * One step of WKV5; r, k, v, w, u, y `[H * N]`; S `[H, N, N]` as [key, value], updated in place.
 */
export function wkv(
  { r, k, v, w, u, S, y }: Record<"r" | "k" | "v" | "w" | "u" | "S" | "y", Float32Array>,
  N: number,
) {
  const sums = new Float64Array(N);
  for (let head = 0; head < y.length; head += N) {
    sums.fill(0);
    for (let i = 0; i < N; i++) {
      const at = head * N + i * N;
      const key = k[head + i], rec = r[head + i], decay = w[head + i], bonus = u[head + i];
      for (let j = 0; j < N; j++) {
        const kv = key * v[head + j];
        sums[j] += rec * (bonus * kv + S[at + j]);
        S[at + j] = decay * S[at + j] + kv;
      }
    }
    y.set(sums, head);
  }
}
