// select_norm: y[o] = layer_norm(x[output_rows[o]])
//   x           : f32[tokens, WIDTH]
//   norm        : f32[2, WIDTH]       weight, bias
//   output_rows : u32[outputs]        rows of x
//   y           : f32[outputs, WIDTH]
// Constants: WIDTH4, THREADS, EPS. Grid (outputs, 1, 1).
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> norm: array<vec4f>;
@group(0) @binding(2) var<storage, read> output_rows: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let base = output_rows[group.x] * WIDTH4;
  var sum = 0.0;
  for (var c = thread; c < WIDTH4; c += THREADS) {
    sum += dot(x[base + c], vec4f(1.0));
  }
  let mean = workgroup_sum(thread, sum) / f32(WIDTH4 * 4u);
  sum = 0.0;
  for (var c = thread; c < WIDTH4; c += THREADS) {
    let d = x[base + c] - mean;
    sum += dot(d, d);
  }
  let scale = 1.0 / sqrt(workgroup_sum(thread, sum) / f32(WIDTH4 * 4u) + EPS);
  for (var c = thread; c < WIDTH4; c += THREADS) {
    y[group.x * WIDTH4 + c] = (x[base + c] - mean) * scale * norm[c] + norm[WIDTH4 + c];
  }
}
