// matmul: computes the same as linear_rows, with the same order of additions, but with tiles of 32
// rows and 32 tokens shared by a workgroup.
//   weights : [rows, columns], read with weight4, see layouts.ts
//   x       : f32[tokens, COLUMNS4 * 4]
//   y, gate : f32[tokens, OUT_STRIDE]
//   counts  : vec4u                       tokens, runs, outputs, 0
// Constants: ROWS, COLUMNS4, SEGMENT4, SEGMENTS, FIRST_BLOCK, X_OFFSET4, Y_OFFSET, OUT_STRIDE.
// Grid (ceil(rows / 32), ceil(tokens / 32), 1), 8 x 8 threads. Thread (i, j) computes the tile's
// rows i, i + 8, i + 16, i + 24 and tokens j, j + 8, j + 16, j + 24.
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> counts: vec4u;

const DEPTH = 8u; // groups of 4 columns in a tile; divides SEGMENT4
var<workgroup> w_tile: array<vec4f, DEPTH * 32u>; // [group][row]
var<workgroup> x_tile: array<vec4f, DEPTH * 32u>; // [group][token]

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let tokens = counts[COUNT];
  let first_row = group.x * 32u;
  let first_token = group.y * 32u;
  let padded_rows = (ROWS + 7u) / 8u * 8u;
  var total = array<f32, 16>();
  let zero = vec4f(f32(counts.w));
  for (var s = 0u; s < SEGMENTS; s++) {
    var sum: array<vec4f, 16>;
    for (var n = 0u; n < 16u; n++) {
      sum[n] = zero;
    }
    let end = min((s + 1u) * SEGMENT4, COLUMNS4);
    for (var c0 = s * SEGMENT4; c0 < end; c0 += DEPTH) {
      workgroupBarrier();
      for (var n = index; n < DEPTH * 32u; n += 64u) {
        let c = c0 + n / 32u;
        let row = first_row + n % 32u;
        let token = first_token + n % 32u;
        var w = vec4f(0.0);
        var v = vec4f(0.0);
        if c < end && row < padded_rows {
          w = weight4(FIRST_BLOCK + row / 8u, c, row % 8u);
        }
        if c < end && token < tokens {
          v = x[X_OFFSET4 + token * COLUMNS4 + c];
        }
        w_tile[n] = w;
        x_tile[n] = v;
      }
      workgroupBarrier();
      // Past the last group both tiles are zero, and fma(0, 0, sum) does not change the sum.
      for (var c = 0u; c < DEPTH; c++) {
        let w0 = w_tile[c * 32u + local.x];
        let w1 = w_tile[c * 32u + local.x + 8u];
        let w2 = w_tile[c * 32u + local.x + 16u];
        let w3 = w_tile[c * 32u + local.x + 24u];
        for (var t = 0u; t < 4u; t++) {
          let v = x_tile[c * 32u + local.y + t * 8u];
          sum[t * 4u] = fma(w0, v, sum[t * 4u]);
          sum[t * 4u + 1u] = fma(w1, v, sum[t * 4u + 1u]);
          sum[t * 4u + 2u] = fma(w2, v, sum[t * 4u + 2u]);
          sum[t * 4u + 3u] = fma(w3, v, sum[t * 4u + 3u]);
        }
      }
    }
    for (var n = 0u; n < 16u; n++) {
      total[n] += (sum[n].x + sum[n].y) + (sum[n].z + sum[n].w);
    }
  }
  for (var t = 0u; t < 4u; t++) {
    for (var r = 0u; r < 4u; r++) {
      let token = first_token + local.y + t * 8u;
      let row = first_row + local.x + r * 8u;
      if token < tokens && row < ROWS {
        put(Y_OFFSET + token * OUT_STRIDE + row, activate(total[t * 4u + r]));
      }
    }
  }
}
