/** What writers are told of a tensor before they get its bytes, and the size that follows from it. */

import { DTYPE_BYTES, type TensorInfo } from "./tensor_layout.ts";

/** A tensor to be written, in row-major order. */
export type NewTensor = Omit<TensorInfo, "byteLength">;

/**
 * Bytes of each tensor by name, in the order given. A tensor that no file could hold is the caller's
 * bug, and so a plain error: what a file says of its tensors was checked when it was opened.
 */
export function byteLengths(tensors: readonly NewTensor[]): Map<string, number> {
  const lengths = new Map<string, number>();
  for (const { name, dtype, shape } of tensors) {
    const byteLength = shape.reduce((a, b) => a * b, DTYPE_BYTES.get(dtype) ?? NaN);
    if (!shape.every((size) => size >= 0) || !Number.isSafeInteger(byteLength)) {
      throw new Error(`Cannot write tensor "${name}": it is ${dtype} of shape [${shape}]`);
    }
    if (lengths.has(name)) throw new Error(`Cannot write tensor "${name}" twice`);
    lengths.set(name, byteLength);
  }
  return lengths;
}
