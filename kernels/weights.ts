/**
 * WGSL to read weights. It declares the binding `weights` and the function `weight4(block, c, r)`,
 * which returns column group c (four columns) of row `8 * block + r`, dequantized if necessary.
 *
 * Loops over columns can reuse a scale after one read: `scale_of(block, c, r)` is valid for the
 * `SCALE_GROUPS` groups from c on, and `scaled4(block, c, r, scale)` is `weight4` with a given
 * scale. Types without scales return 1 and ignore it.
 */

import {
  codeBytes,
  columnGroups,
  isQuantized,
  NF4,
  QUANTIZED_LAYOUTS,
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

/** WGSL reader of each weight type. Requires the constants of `weightConstants`. */
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

/** Returns the constants of `WEIGHT_READER` for a matrix or a part of one. */
export function weightConstants(
  { rows, columns, type }: { rows: number; columns: number; type: WeightType },
): Record<string, number> {
  const COLUMNS4 = columnGroups(columns);
  if (!isQuantized(type)) return { COLUMNS4, SCALE_GROUPS: COLUMNS4 };
  return {
    COLUMNS4,
    SCALES_AT: codeBytes(rows, columns, type) / 4,
    SCALE_BLOCKS: scaleBlocks(columns, type),
    SCALE_GROUPS: QUANTIZED_LAYOUTS[type].scaleBlock / 4,
  };
}
