/**
 * Sums over a workgroup, joined to kernels that normalise.
 *
 * The text is unrolled here and not by a loop in WGSL: compilers of software adapters take ten times
 * as long to unroll a loop over shared memory, which is what a worker's start waits for.
 */

/**
 * WGSL of `lane_sums`, `lanes_total` and `workgroup_sum`.
 *
 * @param threads How many partial sums there are: the constant THREADS of the kernel.
 */
export function reduceSource(threads: number): string {
  const additions = Array.from({ length: threads }, (_, i) => `  sum += lane_sums[${i}];`);
  return `
var<workgroup> lane_sums: array<f32, ${threads}>;

// The sum of lane_sums, the same in every thread, added from the first to the last.
fn lanes_total() -> f32 {
  workgroupBarrier();
  var sum = 0.0;
${additions.join("\n")}
  return sum;
}

// The sum of one number of each of the first ${threads} threads.
fn workgroup_sum(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  if thread < ${threads}u {
    lane_sums[thread] = value;
  }
  return lanes_total();
}
`;
}
