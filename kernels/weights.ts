/**
 * How shaders read weights: WGSL that declares the binding `weights` and a function `weight4(block,
 * c, r)`, the group of four columns c of row `8 * block + r`, dequantized where it must be.
 *
 * Loops over columns read a scale once for all that share it: `scale_of(block, c, r)` holds for the
 * `SCALE_GROUPS` groups from c on, and `scaled4(block, c, r, scale)` is `weight4` with it. Types
 * without scales have 1, which they ignore.
 */

import {
  codeBytes,
  columnGroups,
  isQuantized,
  NF4,
  SCALE_BLOCK,
  scaleBlocks,
  type WeightType,
} from "./layouts.ts";

const SCALE = `
@group(0) @binding(0) var<storage, read> weights: array<u32>;
fn scale_of(block: u32, c: u32, r: u32) -> f32 {
  let at = (block * SCALE_BLOCKS + c / SCALE_GROUPS) * 8u + r;
  let pair = unpack2x16float(weights[SCALES_AT + at / 2u]);
  return select(pair.x, pair.y, (r & 1u) == 1u);
}
`;

const UNSCALED = `
fn scale_of(block: u32, c: u32, r: u32) -> f32 { return 1.0; }
`;

const WEIGHT4 = `
fn weight4(block: u32, c: u32, r: u32) -> vec4f {
  return scaled4(block, c, r, scale_of(block, c, r));
}
`;

/** Expects the constants of `weightConstants`. */
export const WEIGHT_READER: Record<WeightType, string> = {
  f32: `${UNSCALED}${WEIGHT4}
@group(0) @binding(0) var<storage, read> weights: array<vec4f>;
fn scaled4(block: u32, c: u32, r: u32, scale: f32) -> vec4f {
  return weights[(block * COLUMNS4 + c) * 8u + r];
}
`,
  f16: `${UNSCALED}${WEIGHT4}
@group(0) @binding(0) var<storage, read> weights: array<vec2u>;
fn scaled4(block: u32, c: u32, r: u32, scale: f32) -> vec4f {
  let halves = weights[(block * COLUMNS4 + c) * 8u + r];
  return vec4f(unpack2x16float(halves.x), unpack2x16float(halves.y));
}
`,
  int8: `${SCALE}${WEIGHT4}
fn scaled4(block: u32, c: u32, r: u32, scale: f32) -> vec4f {
  return unpack4x8snorm(weights[(block * COLUMNS4 + c) * 8u + r]) * scale;
}
`,
  nf4: `${SCALE}${WEIGHT4}
var<private> nf4: array<f32, 16> = array<f32, 16>(${
    NF4.map((v) => `${v.toFixed(16)}f`).join(", ")
  });
fn scaled4(block: u32, c: u32, r: u32, scale: f32) -> vec4f {
  let word = weights[(block * ((COLUMNS4 + 1u) / 2u) + c / 2u) * 8u + r] >> (c % 2u * 16u);
  let values = vec4f(
    nf4[word & 15u],
    nf4[(word >> 4u) & 15u],
    nf4[(word >> 8u) & 15u],
    nf4[(word >> 12u) & 15u],
  );
  return values * scale;
}
`,
};

/** Constants for `WEIGHT_READER`, of a matrix or a part of one. */
export function weightConstants(
  { rows, columns, type }: { rows: number; columns: number; type: WeightType },
): Record<string, number> {
  const COLUMNS4 = columnGroups(columns);
  if (!isQuantized(type)) return { COLUMNS4, SCALE_GROUPS: COLUMNS4 };
  return {
    COLUMNS4,
    SCALES_AT: codeBytes(rows, columns, type) / 4,
    SCALE_BLOCKS: scaleBlocks(columns, type),
    SCALE_GROUPS: SCALE_BLOCK[type] / 4,
  };
}
