// wkv5_step: wkv5 for runs of one token, then group norm a head and the gate, in one.
//   projected : r, k, v, g, each f32[tokens, HEADS, N], from R_AT, K_AT, V_AT, G_AT on
//   w, u      : f32[HEADS, N]            w = decay in (0, 1), u = bonus
//   runs      : u32[runs, 4]             slot, first row, count, 0; left alone with count 0
//   state     : f32[slots, HEADS, N, N]  [key i, value j], updated in place
//   norm      : f32[2, HEADS * N]        weight, bias
//   y         : f32[tokens, HEADS, N]
// Constants: HEADS, N, R_AT, K_AT, V_AT, G_AT (multiples of 4), THREADS, EPS. Grid (heads, runs, 1),
// N threads: thread j owns value column j. The order of additions is that of wkv5_chunk and
// group_norm_gate.
@group(0) @binding(0) var<storage, read> projected: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> u: array<vec4f>;
@group(0) @binding(3) var<storage, read> runs: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read> norm: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

var<workgroup> head_y: array<f32, N>;

fn number(i: u32) -> f32 {
  return projected[i / 4u][i % 4u];
}

@compute @workgroup_size(N)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) j: u32) {
  let head = group.x;
  let run = runs[group.y];
  if run.z == 0u {
    return;
  }
  let row = run.y * HEADS + head;
  let base = (run.x * HEADS + head) * N * N + j;
  let value = number(V_AT + row * N + j);
  var sum = vec4f(f32(run.w));
  for (var i = 0u; i < N / 4u; i++) {
    let at = base + i * 4u * N;
    let s = vec4f(state[at], state[at + N], state[at + 2u * N], state[at + 3u * N]);
    let kv = projected[K_AT / 4u + row * N / 4u + i] * value;
    let r = projected[R_AT / 4u + row * N / 4u + i];
    sum = fma(r, fma(u[head * N / 4u + i], kv, s), sum);
    let next = fma(w[head * N / 4u + i], s, kv);
    state[at] = next.x;
    state[at + N] = next.y;
    state[at + 2u * N] = next.z;
    state[at + 3u * N] = next.w;
  }
  let mine = (sum.x + sum.y) + (sum.z + sum.w);
  head_y[j] = mine;
  workgroupBarrier();
  var part = 0.0;
  if j < THREADS {
    for (var i = j; i < N; i += THREADS) {
      part += head_y[i];
    }
  }
  let mean = workgroup_sum(j, part) / f32(N);
  part = 0.0;
  if j < THREADS {
    for (var i = j; i < N; i += THREADS) {
      let d = head_y[i] - mean;
      part += d * d;
    }
  }
  let scale = 1.0 / sqrt(workgroup_sum(j, part) / f32(N) + EPS);
  let channel = head * N + j;
  let normed = (mine - mean) * scale * norm[channel] + norm[HEADS * N + channel];
  y[row * N + j] = normed * gate_of(row * N + j);
}
