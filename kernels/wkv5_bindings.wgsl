// What wkv5 and wkv5_chunk bind:
//   r, k, v, y : f32[tokens, HEADS, N]
//   w, u       : f32[HEADS, N]            w = decay in (0, 1), u = bonus
//   runs       : u32[runs, 4]             slot, first row, count, 0
//   state      : f32[slots, HEADS, N, N]  [key i, value j], updated in place
// Constants: HEADS, N.
@group(0) @binding(0) var<storage, read> r: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<vec4f>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<vec4f>;
@group(0) @binding(4) var<storage, read> u: array<vec4f>;
@group(0) @binding(5) var<storage, read> runs: array<vec4u>;
@group(0) @binding(6) var<storage, read_write> state: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;
