// commit_shift: shift_in[site, slot] = shift_out[site, slot] for every run's slot
//   runs      : u32[runs, 4]              slot, first row, count, 0; skipped if count is 0
//   shift_out : f32[sites, slots, WIDTH]  site stride SITE4 * 4
//   shift_in  : f32[sites, slots, WIDTH]  site stride SITE4 * 4
// Constants: WIDTH4, SITE4, THREADS. Grid (runs, sites, 1).
@group(0) @binding(0) var<storage, read> runs: array<vec4u>;
@group(0) @binding(1) var<storage, read> shift_out: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> shift_in: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let run = runs[group.x];
  if run.z == 0u {
    return;
  }
  let base = group.y * SITE4 + run.x * WIDTH4;
  for (var c = thread; c < WIDTH4; c += THREADS) {
    shift_in[base + c] = shift_out[base + c];
  }
}
