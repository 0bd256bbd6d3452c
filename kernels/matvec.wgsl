// matvec: y[t, ROW_OFFSET + row] = put(sum over columns of W[row, c] * x[t, c])
//   weights : [rows, columns], read through weight4, see layouts.ts
//   x       : f32[tokens, COLUMNS4 * 4]
//   y, gate : f32[tokens, OUT_STRIDE]
//   counts  : vec4u: tokens, runs, outputs, 0
// Constants: ROWS written rows, COLUMNS4, SEGMENT4 groups a segment, SEGMENTS, ROW_OFFSET,
//   OUT_STRIDE, LANES threads a row, BLOCKS row blocks a workgroup.
// Grid (ceil(rows / (8 * BLOCKS)), tokens, 1): thread (r, lane) sums segments lane, lane + LANES, ...
// of row r; the order of additions is that of linear.ts.
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> counts: vec4u;

const WIDTH = 8u * BLOCKS;
var<workgroup> partial: array<f32, SEGMENTS * WIDTH>;

@compute @workgroup_size(WIDTH, LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let block = group.x * BLOCKS + local.x / 8u;
  let row = block * 8u + local.x % 8u;
  let token = group.y;
  let inside = row < ROWS && token < counts[COUNT];
  for (var s = local.y; s < SEGMENTS; s += LANES) {
    var sum = vec4f(f32(counts.w));
    if inside {
      let end = min((s + 1u) * SEGMENT4, COLUMNS4);
      for (var c = s * SEGMENT4; c < end; c++) {
        sum = fma(weight4(block, c, local.x % 8u), x[token * COLUMNS4 + c], sum);
      }
    }
    partial[s * WIDTH + local.x] = (sum.x + sum.y) + (sum.z + sum.w);
  }
  workgroupBarrier();
  if inside && local.y == 0u {
    var total = 0.0;
    for (var s = 0u; s < SEGMENTS; s++) {
      total += partial[s * WIDTH + local.x];
    }
    put(token * OUT_STRIDE + ROW_OFFSET + row, total);
  }
}
