// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).

// Returns the upper 32 bits of a product.
fn multiply_high(a: u32, b: u32) -> u32 {
  let a0 = a & 0xffffu;
  let a1 = a >> 16u;
  let b0 = b & 0xffffu;
  let b1 = b >> 16u;
  let middle = a1 * b0 + ((a0 * b0) >> 16u);
  let carry = (middle & 0xffffu) + a0 * b1;
  return a1 * b1 + (middle >> 16u) + (carry >> 16u);
}

fn philox(position: vec2u, seed: vec2u) -> vec4u {
  var counter = vec4u(position, 0u, 0u);
  var key = seed;
  for (var round = 0u; round < 10u; round++) {
    let high = vec2u(multiply_high(0xd2511f53u, counter.x), multiply_high(0xcd9e8d57u, counter.z));
    counter = vec4u(
      high.y ^ counter.y ^ key.x,
      0xcd9e8d57u * counter.z,
      high.x ^ counter.w ^ key.y,
      0xd2511f53u * counter.x,
    );
    key += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return counter;
}

// Returns a number from 0 to 1, from the same 53 bits as src/sampler/random.ts; rounding may yield
// 1.
fn random_at(position: vec2u, seed: vec2u) -> f32 {
  let words = philox(position, seed);
  return fma(f32(words.x >> 5u), 0x1p-27, f32(words.y >> 6u) * 0x1p-53);
}
