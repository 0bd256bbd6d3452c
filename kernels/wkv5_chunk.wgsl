// wkv5_chunk: computes the recurrence over all rows of each run. The state stays in registers and
// is read and written once.
//   r, k, v, y : f32[tokens, HEADS, N]
//   w, u       : f32[HEADS, N]            w = decay in (0, 1), u = bonus
//   runs       : u32[runs, 4]             slot, first row, count, 0
//   state      : f32[slots, HEADS, N, N]  [key i, value j], updated in place
// Constants: HEADS, N. Grid (heads, runs, 1), N threads: thread j computes value column j.
@group(0) @binding(0) var<storage, read> r: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<vec4f>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<vec4f>;
@group(0) @binding(4) var<storage, read> u: array<vec4f>;
@group(0) @binding(5) var<storage, read> runs: array<vec4u>;
@group(0) @binding(6) var<storage, read_write> state: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

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
