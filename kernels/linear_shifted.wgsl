// Included in linear_rows after reduce. Each workgroup first computes the input vector itself, with
// the same result as norm_shift for a run of one token.
//   x             : f32[tokens, WIDTH]  before the norm; WIDTH = COLUMNS4 * 4
//   norm          : f32[2, WIDTH]       weight, bias
//   mix           : f32[mixes, WIDTH]
//   rows          : u32[tokens, 4]      id, slot, first of its run, last of its run
//   shift_in      : f32[slots, WIDTH]   token shift read
//   shift_out     : f32[slots, WIDTH]   token shift written
// Constants: THREADS of norm_shift, EPS, GROUP_THREADS (threads of this workgroup).
@group(0) @binding(4) var<storage, read> norm: array<vec4f>;
@group(0) @binding(5) var<storage, read> mix: array<vec4f>;
@group(0) @binding(6) var<storage, read> rows: array<vec4u>;
@group(0) @binding(7) var<storage, read> shift_in: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> shift_out: array<vec4f>;

var<workgroup> mixed: array<vec4f, COLUMNS4>;

// Fills `mixed` with the mix that starts at mix[first]. All threads must call it. The order of
// additions is that of norm_shift and does not depend on the size of this workgroup.
fn make_mixed(token: u32, first: u32, thread: u32, keep: bool) {
  let at = token * COLUMNS4;
  for (var lane = thread; lane < THREADS; lane += GROUP_THREADS) {
    var sum = 0.0;
    for (var c = lane; c < COLUMNS4; c += THREADS) {
      sum += dot(x[at + c], vec4f(1.0));
    }
    lane_sums[lane] = sum;
  }
  let mean = lanes_total() / f32(COLUMNS4 * 4u);
  workgroupBarrier();
  for (var lane = thread; lane < THREADS; lane += GROUP_THREADS) {
    var sum = 0.0;
    for (var c = lane; c < COLUMNS4; c += THREADS) {
      let d = x[at + c] - mean;
      sum += dot(d, d);
    }
    lane_sums[lane] = sum;
  }
  let scale = 1.0 / sqrt(lanes_total() / f32(COLUMNS4 * 4u) + EPS);
  let slot = rows[token].y * COLUMNS4;
  for (var c = thread; c < COLUMNS4; c += GROUP_THREADS) {
    let xx = (x[at + c] - mean) * scale * norm[c] + norm[COLUMNS4 + c];
    let a = mix[first + c];
    mixed[c] = xx * a + shift_in[slot + c] * (vec4f(1.0) - a);
    if keep {
      shift_out[slot + c] = xx;
    }
  }
  workgroupBarrier();
}
