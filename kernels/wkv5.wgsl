// wkv5: one step of the recurrence for the first row of every run; bindings in wkv5_bindings.wgsl
// Grid (heads, runs, 1), N threads: thread j owns value column j.

@compute @workgroup_size(N)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) j: u32) {
  let head = group.x;
  let run = runs[group.y];
  let row = run.y * HEADS + head;
  let base = (run.x * HEADS + head) * N * N + j;
  let value = v[row * N + j];
  var sum = vec4f(f32(run.w));
  for (var i = 0u; i < N / 4u; i++) {
    let at = base + i * 4u * N;
    let s = vec4f(state[at], state[at + N], state[at + 2u * N], state[at + 3u * N]);
    let kv = k[row * N / 4u + i] * value;
    sum = fma(r[row * N / 4u + i], fma(u[head * N / 4u + i], kv, s), sum);
    let next = fma(w[head * N / 4u + i], s, kv);
    state[at] = next.x;
    state[at + N] = next.y;
    state[at + 2u * N] = next.z;
    state[at + 3u * N] = next.w;
  }
  y[row * N + j] = (sum.x + sum.y) + (sum.z + sum.w);
}
