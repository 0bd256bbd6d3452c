/**
 * How matrices lie in device memory: the one place that knows.
 *
 * A matrix `[rows, columns]` is cut into blocks of 8 rows. Within a block, groups of four
 * consecutive columns of the 8 rows lie one after the other, so that 8 neighbouring threads, each
 * with a row of its own, read neighbouring 16 (f32) or 8 (f16) bytes:
 *
 *     index of the group (row, column / 4) =
 *       (floor(row / 8) * columnGroups + floor(column / 4)) * 8 + row % 8
 *
 * Rows are padded to a multiple of 8 and columns to a multiple of 4, both with zeros.
 */

import { roundUp } from "./spec.ts";

/** Element types of a matrix in device memory. */
export type WeightType = "f32" | "f16";

export const ROW_BLOCK = 8;

export const WEIGHT_BYTES: Record<WeightType, number> = { f32: 4, f16: 2 };

/** Groups of four columns, the last one padded. */
export function columnGroups(columns: number): number {
  return Math.ceil(columns / 4);
}

/** Bytes of `rows` rows, padding included. */
export function matrixBytes(rows: number, columns: number, type: WeightType): number {
  return roundUp(rows, ROW_BLOCK) * columnGroups(columns) * 4 * WEIGHT_BYTES[type];
}

/**
 * Packs rows into the device layout.
 *
 * @param values f32 `[rows, columns]`, the first row at a block's start.
 * @returns `matrixBytes(rows, columns, type)` bytes.
 */
export function packMatrix(
  values: Float32Array,
  { rows, columns, type }: { rows: number; columns: number; type: WeightType },
): Float32Array<ArrayBuffer> | Float16Array<ArrayBuffer> {
  const groups = columnGroups(columns);
  const length = roundUp(rows, ROW_BLOCK) * groups * 4;
  const packed = type === "f32" ? new Float32Array(length) : new Float16Array(length);
  for (let row = 0; row < rows; row++) {
    const base = Math.floor(row / ROW_BLOCK) * groups * ROW_BLOCK + (row % ROW_BLOCK);
    const from = row * columns;
    for (let column = 0; column < columns; column++) {
      packed[(base + (column >> 2) * ROW_BLOCK) * 4 + (column & 3)] = values[from + column];
    }
  }
  return packed;
}

/** WGSL that declares the binding `weights` and reads a group of four columns from it. */
export const WEIGHT_READER: Record<WeightType, string> = {
  f32: `
@group(0) @binding(0) var<storage, read> weights: array<vec4f>;
fn weight4(index: u32) -> vec4f { return weights[index]; }
`,
  f16: `
@group(0) @binding(0) var<storage, read> weights: array<vec2u>;
fn weight4(index: u32) -> vec4f {
  let halves = weights[index];
  return vec4f(unpack2x16float(halves.x), unpack2x16float(halves.y));
}
`,
};
