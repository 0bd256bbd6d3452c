/** Where a tensor's elements lie in a file: the one description that all formats are reduced to. */

import { invalidCheckpoint } from "./byte_source.ts";

/** Bytes of one element by dtype, as safetensors names dtypes. */
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

/** What a checkpoint tells of a tensor before it is read. */
export interface TensorInfo {
  /** As the file has it. */
  readonly name: string;
  /** "F32", "F16" and "BF16" can be read as floats; others are only listed. */
  readonly dtype: string;
  /** Outermost dimension first; empty for a scalar. */
  readonly shape: readonly number[];
  /** Bytes of all elements in the file's dtype. */
  readonly byteLength: number;
}

/** A tensor's place in its file, checked against the file's size. */
export interface TensorLayout extends TensorInfo {
  /** Byte offset of element `[0, 0, …]` in the file. */
  readonly offset: number;
  /** Elements from one index to the next, by dimension. */
  readonly strides: readonly number[];
}

/**
 * Product of the dimensions.
 *
 * @throws InferenceError `invalid_checkpoint` where a dimension or the product is no safe integer.
 */
export function elementCount(file: string, tensor: string, shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw invalidCheckpoint(file, `tensor "${tensor}" has the impossible shape [${shape}]`);
    }
    count *= size;
  }
  if (!Number.isSafeInteger(count * 8)) {
    throw invalidCheckpoint(file, `tensor "${tensor}" of shape [${shape}] is too large`);
  }
  return count;
}

/** Strides of a row-major tensor. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = stride;
    stride *= shape[d];
  }
  return strides;
}

/** Whether the elements lie one after the other in row-major order. */
export function isContiguous({ shape, strides }: Pick<TensorLayout, "shape" | "strides">): boolean {
  const expected = contiguousStrides(shape);
  return shape.includes(0) || shape.every((size, d) => size === 1 || strides[d] === expected[d]);
}
