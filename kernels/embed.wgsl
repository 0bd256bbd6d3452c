// embed: x[t] = layer_norm(table[id of t]), for ids in this part of the table
//   weights : part of the table, [IDS, WIDTH], read with weight4, see layouts.ts
//   norm    : f32[2, WIDTH]  weight, bias
//   rows    : u32[tokens, 4] id, slot, first of its run, last of its run
//   x       : f32[tokens, WIDTH]
// Constants: FIRST_ID, IDS, COLUMNS4, THREADS, EPS. Grid (tokens, 1, 1).
@group(0) @binding(1) var<storage, read> norm: array<vec4f>;
@group(0) @binding(2) var<storage, read> rows: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  // For ids before this part the subtraction wraps around, so they count as outside too.
  let id = rows[group.x].x - FIRST_ID;
  let inside = id < IDS;
  var sum = 0.0;
  if inside {
    for (var c = thread; c < COLUMNS4; c += THREADS) {
      sum += dot(weight4(id / 8u, c, id % 8u), vec4f(1.0));
    }
  }
  let mean = workgroup_sum(thread, sum) / f32(COLUMNS4 * 4u);
  sum = 0.0;
  if inside {
    for (var c = thread; c < COLUMNS4; c += THREADS) {
      let d = weight4(id / 8u, c, id % 8u) - mean;
      sum += dot(d, d);
    }
  }
  let scale = 1.0 / sqrt(workgroup_sum(thread, sum) / f32(COLUMNS4 * 4u) + EPS);
  if inside {
    for (var c = thread; c < COLUMNS4; c += THREADS) {
      x[group.x * COLUMNS4 + c] = (weight4(id / 8u, c, id % 8u) - mean) * scale * norm[c] + norm[COLUMNS4 + c];
    }
  }
}
