/** Descriptions of tensors to be written, and their sizes. */

import { DTYPE_BYTES, type TensorInfo } from "./tensor_layout.ts";

/** A tensor to write, in row-major order. */
export type NewTensor = Omit<TensorInfo, "byteLength">;

/**
 * Returns the size of each tensor in bytes, by name, in the given order. An invalid description is a
 * bug of the caller and therefore a plain error: opening a file has validated its descriptions.
 */
export function byteLengths(tensors: readonly NewTensor[]): Map<string, number> {
  const lengths = new Map<string, number>();
  for (const { name, dtype, shape } of tensors) {
    const byteLength = shape.reduce((a, b) => a * b, DTYPE_BYTES.get(dtype) ?? NaN);
    if (!shape.every((size) => size >= 0) || !Number.isSafeInteger(byteLength)) {
      throw new Error(
        `Cannot write tensor "${name}": dtype ${dtype} or shape [${shape}] is invalid`,
      );
    }
    if (lengths.has(name)) throw new Error(`Cannot write tensor "${name}": the name occurs twice`);
    lengths.set(name, byteLength);
  }
  return lengths;
}
