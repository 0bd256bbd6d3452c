// Mean and inverse deviation of numbers spread over a workgroup, joined to kernels that normalise.
// Constants: THREADS of the workgroup, EPS.
var<workgroup> lane_sums: array<f32, THREADS>;

// The sum of one number a thread, the same in every thread.
fn workgroup_sum(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  lane_sums[thread] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < THREADS; i++) {
    sum += lane_sums[i];
  }
  return sum;
}
