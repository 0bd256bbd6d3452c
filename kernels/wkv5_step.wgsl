// wkv5_step: wkv5 for runs of one token, fused with the group norm per head and the gate.
//   projected : r, k, v, g, each f32[tokens, HEADS, N], starting at R_AT, K_AT, V_AT, G_AT
//   w, u      : f32[HEADS, N]            w = decay in (0, 1), u = bonus
//   runs      : u32[runs, 4]             slot, first row, count, 0; skipped if count is 0
//   state     : f32[slots, HEADS, N, N]  [key i, value j], updated in place
//   norm      : f32[2, HEADS * N]        weight, bias
//   y         : f32[tokens, HEADS, N]
// Constants: HEADS, N, R_AT, K_AT, V_AT, G_AT (multiples of 4), THREADS, EPS. Grid (heads, runs,
// 1), N / 4 threads: thread j computes value columns 4 j to 4 j + 3. The order of additions is that
// of wkv5_chunk and group_norm_gate.
@group(0) @binding(0) var<storage, read> projected: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> u: array<vec4f>;
@group(0) @binding(3) var<storage, read> runs: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> state: array<vec4f>;
@group(0) @binding(5) var<storage, read> norm: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;

const N4 = N / 4u;

var<workgroup> head_y: array<f32, N>;

// Returns the sum of head_y, or of its squared differences from `mean`. Each lane sums every
// THREADS-th element, like the threads of group_norm_gate.
fn head_sum(j: u32, mean: f32, squared: bool) -> f32 {
  workgroupBarrier();
  for (var lane = j; lane < THREADS; lane += N4) {
    var part = 0.0;
    for (var i = lane; i < N; i += THREADS) {
      let d = head_y[i] - mean;
      part += select(head_y[i], d * d, squared);
    }
    lane_sums[lane] = part;
  }
  return lanes_total();
}

@compute @workgroup_size(N4)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) j: u32) {
  let head = group.x;
  let run = runs[group.y];
  if run.z == 0u {
    return;
  }
  let row = (run.y * HEADS + head) * N4;
  let base = (run.x * HEADS + head) * N * N4 + j;
  let value = projected[V_AT / 4u + row + j];
  let zero = vec4f(f32(run.w));
  // Each of the four sums adds up every fourth key channel.
  var sum0 = zero;
  var sum1 = zero;
  var sum2 = zero;
  var sum3 = zero;
  for (var i = 0u; i < N4; i++) {
    let at = base + i * N;
    let k = projected[K_AT / 4u + row + i];
    let r = projected[R_AT / 4u + row + i];
    let bonus = u[head * N4 + i];
    let decay = w[head * N4 + i];
    let s0 = state[at];
    let s1 = state[at + N4];
    let s2 = state[at + 2u * N4];
    let s3 = state[at + 3u * N4];
    let kv0 = k.x * value;
    let kv1 = k.y * value;
    let kv2 = k.z * value;
    let kv3 = k.w * value;
    sum0 = fma(vec4f(r.x), fma(vec4f(bonus.x), kv0, s0), sum0);
    sum1 = fma(vec4f(r.y), fma(vec4f(bonus.y), kv1, s1), sum1);
    sum2 = fma(vec4f(r.z), fma(vec4f(bonus.z), kv2, s2), sum2);
    sum3 = fma(vec4f(r.w), fma(vec4f(bonus.w), kv3, s3), sum3);
    state[at] = fma(vec4f(decay.x), s0, kv0);
    state[at + N4] = fma(vec4f(decay.y), s1, kv1);
    state[at + 2u * N4] = fma(vec4f(decay.z), s2, kv2);
    state[at + 3u * N4] = fma(vec4f(decay.w), s3, kv3);
  }
  let mine = (sum0 + sum1) + (sum2 + sum3);
  for (var c = 0u; c < 4u; c++) {
    head_y[4u * j + c] = mine[c];
  }
  let mean = head_sum(j, 0.0, false) / f32(N);
  let scale = 1.0 / sqrt(head_sum(j, mean, true) / f32(N) + EPS);
  let channels = head * N4 + j;
  let normed = (mine - mean) * scale * norm[channels] + norm[HEADS * N4 + channels];
  y[row + j] = normed * gate4(row + j);
}
