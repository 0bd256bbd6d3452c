// Two kernels that measure the roofline of an adapter: read_all is bound by memory, multiply_add by
// arithmetic.
//   words   : vec4f[n]       n a multiple of 4 * THREADS; all zero
//   results : f32[threads]   prevents the compiler from removing the work
// Grid (groups, 1, 1), THREADS threads.

const THREADS: u32 = 256u;
// Iterations of the loop in multiply_add. Each runs 8 x 4 vec4f multiply-adds per thread.
override ITERATIONS: u32 = 64u;

@group(0) @binding(0) var<storage, read> words: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> results: array<f32>;

// Sums all words. Adjacent threads read adjacent words, and each thread has four reads in flight.
@compute @workgroup_size(THREADS)
fn read_all(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  var a = vec4f();
  var b = vec4f();
  var c = vec4f();
  var d = vec4f();
  let end = arrayLength(&words);
  let stride = groups.x * 4u * THREADS;
  for (var at = group.x * 4u * THREADS + thread; at < end; at += stride) {
    a += words[at];
    b += words[at + THREADS];
    c += words[at + 2u * THREADS];
    d += words[at + 3u * THREADS];
  }
  results[group.x * THREADS + thread] = dot(a + b + c + d, vec4f(1.0));
}

// Computes four independent chains x = x * m + k in registers. m and k are unknown to the compiler.
@compute @workgroup_size(THREADS)
fn multiply_add(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let m = words[0] + 0.5;
  let k = words[1] + 0.5;
  var a = vec4f(f32(thread));
  var b = a + 1.0;
  var c = a + 2.0;
  var d = a + 3.0;
  for (var i = 0u; i < ITERATIONS; i++) {
    a = fma(a, m, k); b = fma(b, m, k); c = fma(c, m, k); d = fma(d, m, k);
    a = fma(a, m, k); b = fma(b, m, k); c = fma(c, m, k); d = fma(d, m, k);
    a = fma(a, m, k); b = fma(b, m, k); c = fma(c, m, k); d = fma(d, m, k);
    a = fma(a, m, k); b = fma(b, m, k); c = fma(c, m, k); d = fma(d, m, k);
    a = fma(a, m, k); b = fma(b, m, k); c = fma(c, m, k); d = fma(d, m, k);
    a = fma(a, m, k); b = fma(b, m, k); c = fma(c, m, k); d = fma(d, m, k);
    a = fma(a, m, k); b = fma(b, m, k); c = fma(c, m, k); d = fma(d, m, k);
    a = fma(a, m, k); b = fma(b, m, k); c = fma(c, m, k); d = fma(d, m, k);
  }
  results[group.x * THREADS + thread] = dot(a + b + c + d, vec4f(1.0));
}
