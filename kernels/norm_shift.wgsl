// norm_shift: xx = layer_norm(x); out[m] = xx * mix[m] + prev * (1 - mix[m])
//   x             : f32[tokens, WIDTH]
//   norm          : f32[2, WIDTH]       weight, bias
//   mix           : f32[MIXES, WIDTH]
//   rows          : u32[tokens, 4]      id, slot, first of its run, last of its run
//   shift_in      : f32[slots, WIDTH]   shift read by a run's first token
//   shift_out     : f32[slots, WIDTH]   shift written by a run's last token
//   out           : f32[MIXES, PLANE]   each plane f32[tokens, WIDTH]
// Constants: WIDTH4, MIXES, PLANE4, THREADS, EPS. Grid (tokens, 1, 1). Each workgroup normalizes
// the previous token again, which is cheaper than a separate dispatch.
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> norm: array<vec4f>;
@group(0) @binding(2) var<storage, read> mix: array<vec4f>;
@group(0) @binding(3) var<storage, read> rows: array<vec4u>;
@group(0) @binding(4) var<storage, read> shift_in: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> shift_out: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> out: array<vec4f>;

// Returns the mean and 1 / standard deviation of a row of x. All threads must call it.
fn moments(row: u32, thread: u32) -> vec2f {
  var sum = 0.0;
  for (var c = thread; c < WIDTH4; c += THREADS) {
    sum += dot(x[row * WIDTH4 + c], vec4f(1.0));
  }
  let mean = workgroup_sum(thread, sum) / f32(WIDTH4 * 4u);
  sum = 0.0;
  for (var c = thread; c < WIDTH4; c += THREADS) {
    let d = x[row * WIDTH4 + c] - mean;
    sum += dot(d, d);
  }
  return vec2f(mean, 1.0 / sqrt(workgroup_sum(thread, sum) / f32(WIDTH4 * 4u) + EPS));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let token = group.x;
  let row = rows[token];
  let first = row.z == 1u;
  let here = moments(token, thread);
  let there = moments(max(token, 1u) - 1u, thread);
  for (var c = thread; c < WIDTH4; c += THREADS) {
    let xx = (x[token * WIDTH4 + c] - here.x) * here.y * norm[c] + norm[WIDTH4 + c];
    var prev: vec4f;
    if first {
      prev = shift_in[row.y * WIDTH4 + c];
    } else {
      prev = (x[(token - 1u) * WIDTH4 + c] - there.x) * there.y * norm[c] + norm[WIDTH4 + c];
    }
    if row.w == 1u {
      shift_out[row.y * WIDTH4 + c] = xx;
    }
    for (var m = 0u; m < MIXES; m++) {
      let a = mix[m * WIDTH4 + c];
      out[m * PLANE4 + token * WIDTH4 + c] = xx * a + prev * (vec4f(1.0) - a);
    }
  }
}
