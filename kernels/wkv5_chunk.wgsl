// wkv5_chunk: the recurrence over all rows of every run, the state in registers between them, read
// and written once; bindings in wkv5_bindings.wgsl
// Grid (heads, runs, 1), N threads: thread j owns value column j. The order of additions is that of
// wkv5.

@compute @workgroup_size(N)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) j: u32) {
  let head = group.x;
  let run = runs[group.y];
  let base = (run.x * HEADS + head) * N * N + j;
  var s: array<vec4f, N / 4u>;
  for (var i = 0u; i < N / 4u; i++) {
    let at = base + i * 4u * N;
    s[i] = vec4f(state[at], state[at + N], state[at + 2u * N], state[at + 3u * N]);
  }
  for (var t = run.y; t < run.y + run.z; t++) {
    let row = t * HEADS + head;
    let value = v[row * N + j];
    var sum = vec4f(f32(run.w));
    for (var i = 0u; i < N / 4u; i++) {
      let kv = k[row * N / 4u + i] * value;
      sum = fma(r[row * N / 4u + i], fma(u[head * N / 4u + i], kv, s[i]), sum);
      s[i] = fma(w[head * N / 4u + i], s[i], kv);
    }
    y[row * N + j] = (sum.x + sum.y) + (sum.z + sum.w);
  }
  for (var i = 0u; i < N / 4u; i++) {
    let at = base + i * 4u * N;
    state[at] = s[i].x;
    state[at + N] = s[i].y;
    state[at + 2u * N] = s[i].z;
    state[at + 3u * N] = s[i].w;
  }
}
