/** The position of a tensor's elements in a file, in a form that is common to all formats. */

import { invalidCheckpoint } from "./byte_source.ts";

/** Bytes per element, by the dtype names of safetensors. */
export const DTYPE_BYTES: ReadonlyMap<string, number> = new Map([
  ["F64", 8],
  ["I64", 8],
  ["U64", 8],
  ["F32", 4],
  ["I32", 4],
  ["U32", 4],
  ["F16", 2],
  ["BF16", 2],
  ["I16", 2],
  ["U16", 2],
  ["I8", 1],
  ["U8", 1],
  ["BOOL", 1],
  ["F8_E4M3", 1],
  ["F8_E5M2", 1],
]);

/** The description of a tensor, available before its data is read. */
export interface TensorInfo {
  /** Name in the file. */
  readonly name: string;
  /** "F32", "F16" and "BF16" can be read as floats; others can only be listed. */
  readonly dtype: string;
  /** Outermost dimension first; empty for a scalar. */
  readonly shape: readonly number[];
  /** Size of all elements in bytes, in the file's dtype. */
  readonly byteLength: number;
}

/** A tensor's position in its file, validated against the file's size. */
export interface TensorLayout extends TensorInfo {
  /** Byte offset of element `[0, 0, …]` in the file. */
  readonly offset: number;
  /** Distance between consecutive indices in elements, by dimension. */
  readonly strides: readonly number[];
}

/**
 * Returns the product of the dimensions.
 *
 * @throws InferenceError `invalid_checkpoint` if a dimension or the product is not a safe integer.
 */
export function elementCount(file: string, tensor: string, shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw invalidCheckpoint(file, `tensor "${tensor}" has the invalid shape [${shape}]`);
    }
    count *= size;
  }
  if (!Number.isSafeInteger(count * 8)) {
    throw invalidCheckpoint(file, `tensor "${tensor}" of shape [${shape}] is too large`);
  }
  return count;
}

/** Returns the strides of a row-major tensor. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = stride;
    stride *= shape[d];
  }
  return strides;
}

/** Returns whether the elements are consecutive in row-major order. */
export function isContiguous({ shape, strides }: Pick<TensorLayout, "shape" | "strides">): boolean {
  const expected = contiguousStrides(shape);
  return shape.includes(0) || shape.every((size, d) => size === 1 || strides[d] === expected[d]);
}
