// group_norm_gate: y = group_norm(y) * gate, one group per head
//   norm    : f32[2, HEADS * N]       weight, bias
//   y, gate : f32[tokens, HEADS * N]  y updated in place
// Constants: HEADS, N, THREADS, EPS. Grid (heads, tokens, 1).
@group(0) @binding(0) var<storage, read> norm: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let channel = group.x * N;
  let base = group.y * HEADS * N + channel;
  var sum = 0.0;
  for (var j = thread; j < N; j += THREADS) {
    sum += y[base + j];
  }
  let mean = workgroup_sum(thread, sum) / f32(N);
  sum = 0.0;
  for (var j = thread; j < N; j += THREADS) {
    let d = y[base + j] - mean;
    sum += d * d;
  }
  let scale = 1.0 / sqrt(workgroup_sum(thread, sum) / f32(N) + EPS);
  for (var j = thread; j < N; j += THREADS) {
    let normed = (y[base + j] - mean) * scale * norm[channel + j] + norm[HEADS * N + channel + j];
    y[base + j] = normed * gate_of(base + j);
  }
}
