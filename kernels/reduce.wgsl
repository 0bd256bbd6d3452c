// Mean and inverse deviation of numbers spread over a workgroup, joined to kernels that normalise.
// Constants: THREADS, the first ones of the workgroup, whose numbers count; EPS.
var<workgroup> lane_sums: array<f32, THREADS>;

// The sum of one number a thread, the same in every thread, added from the first to the last.
fn workgroup_sum(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  if thread < THREADS {
    lane_sums[thread] = value;
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < THREADS; i++) {
    sum += lane_sums[i];
  }
  return sum;
}
