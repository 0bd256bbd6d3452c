// Sums over a workgroup, joined to kernels that normalise. Constants: THREADS, how many partial sums
// there are.
var<workgroup> lane_sums: array<f32, THREADS>;

// The sum of lane_sums, the same in every thread, added from the first to the last.
fn lanes_total() -> f32 {
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < THREADS; i++) {
    sum += lane_sums[i];
  }
  return sum;
}

// The sum of one number of each of the first THREADS threads.
fn workgroup_sum(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  if thread < THREADS {
    lane_sums[thread] = value;
  }
  return lanes_total();
}
