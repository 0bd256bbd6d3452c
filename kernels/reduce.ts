/**
 * Sums over a workgroup, included in the kernels that normalize.
 *
 * The loop is unrolled here and not in WGSL, because compilers of software adapters take ten times
 * as long to unroll a loop over shared memory, which delays the worker's startup.
 */

/**
 * Returns WGSL that defines `lane_sums`, `lanes_total` and `workgroup_sum`.
 *
 * @param threads Number of partial sums: the kernel's constant THREADS.
 */
export function reduceSource(threads: number): string {
  const additions = Array.from({ length: threads }, (_, i) => `  sum += lane_sums[${i}];`);
  return `
var<workgroup> lane_sums: array<f32, ${threads}>;

// Returns the sum of lane_sums in every thread, added from first to last.
fn lanes_total() -> f32 {
  workgroupBarrier();
  var sum = 0.0;
${additions.join("\n")}
  return sum;
}

// Returns the sum of the values of the first ${threads} threads.
fn workgroup_sum(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  if thread < ${threads}u {
    lane_sums[thread] = value;
  }
  return lanes_total();
}
`;
}
