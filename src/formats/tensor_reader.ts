/**
 * Reads tensors by layout from a byte source. A contiguous tensor is read in chunks; a strided one is
 * gathered block by block, so memory holds at most one chunk of the file in addition to the result.
 */

import { type ByteSource, invalidCheckpoint } from "./byte_source.ts";
import {
  contiguousStrides,
  DTYPE_BYTES,
  isContiguous,
  type TensorLayout,
} from "./tensor_layout.ts";
import { firstNonFinite, isFloat, widen, words16, words32 } from "./widen.ts";

/** Bytes per read. */
const CHUNK_BYTES = 16 * 2 ** 20;

/**
 * Reads all elements in row-major order as float32.
 *
 * @param firstIndex Index of the layout's first element in its tensor, for error messages.
 * @throws InferenceError `invalid_checkpoint` for a dtype other than F32, F16 and BF16, and for NaN or
 * infinity.
 */
export async function readFloats(
  source: ByteSource,
  layout: TensorLayout,
  firstIndex = 0,
): Promise<Float32Array> {
  const itemSize = floatBytes(source, layout);
  const values = new Float32Array(layout.byteLength / itemSize);
  const contiguous = isContiguous(layout);
  const step = contiguous ? CHUNK_BYTES / itemSize : values.length;
  for (let start = 0; start < values.length; start += step) {
    const chunk = values.subarray(start, start + step);
    const bytes = contiguous
      ? await source.read(layout.offset + start * itemSize, chunk.length * itemSize)
      : await gather(source, layout, itemSize);
    widen(layout.dtype, bytes, chunk);
    const bad = firstNonFinite(chunk);
    if (bad >= 0) {
      throw invalidCheckpoint(
        source.name,
        `tensor "${layout.name}" contains ${chunk[bad]} at index ${
          firstIndex + start + bad
        }: the file ` +
          "is damaged or comes from a diverged training run; use another one",
      );
    }
  }
  return values;
}

/**
 * Reads the bytes `[byteOffset, byteOffset + byteLength)` of the tensor's elements in row-major order,
 * little-endian, in the file's dtype. The result does not depend on the strides.
 */
export async function readBytes(
  source: ByteSource,
  layout: TensorLayout,
  { byteOffset, byteLength }: { byteOffset: number; byteLength: number },
): Promise<Uint8Array> {
  if (isContiguous(layout)) return await source.read(layout.offset + byteOffset, byteLength);
  const bytes = await gather(source, layout, floatBytes(source, layout));
  return bytes.subarray(byteOffset, byteOffset + byteLength);
}

/** Returns the layout of the rows `[first, first + count)` of the first dimension. */
export function rowsOf(layout: TensorLayout, first: number, count: number): TensorLayout {
  const { shape, strides, byteLength } = layout;
  const itemSize = DTYPE_BYTES.get(layout.dtype) ?? 1;
  return {
    ...layout,
    shape: [count, ...shape.slice(1)],
    byteLength: shape[0] === 0 ? 0 : byteLength / shape[0] * count,
    offset: layout.offset + first * strides[0] * itemSize,
  };
}

function floatBytes(source: ByteSource, { name, dtype }: TensorLayout): number {
  if (!isFloat(dtype)) {
    throw invalidCheckpoint(
      source.name,
      `tensor "${name}" has the unsupported dtype ${dtype}: convert it to F32, F16 or BF16`,
    );
  }
  return DTYPE_BYTES.get(dtype)!;
}

/** Reads the elements of a strided tensor in row-major order. */
async function gather(
  source: ByteSource,
  layout: TensorLayout,
  itemSize: number,
): Promise<Uint8Array> {
  const result = new Uint8Array(layout.byteLength);
  if (result.length === 0) return result;
  const wordsOf = itemSize === 2 ? words16 : words32;
  const target = wordsOf(result);
  const targetStrides = contiguousStrides(layout.shape);

  const block = async (shape: number[], from: number, to: number): Promise<void> => {
    const last = shape.reduce((sum, size, d) => sum + (size - 1) * layout.strides[d], 0);
    if ((last + 1) * itemSize > CHUNK_BYTES) {
      // Halve the dimension that spreads the block over most of the file.
      const spread = shape.map((size, d) => (size - 1) * layout.strides[d]);
      const d = spread.indexOf(Math.max(...spread));
      const half = shape[d] >> 1;
      await block(shape.with(d, half), from, to);
      await block(
        shape.with(d, shape[d] - half),
        from + half * layout.strides[d],
        to + half * targetStrides[d],
      );
      return;
    }
    const bytes = await source.read(layout.offset + from * itemSize, (last + 1) * itemSize);
    copyBlock(wordsOf(bytes), target, { shape, strides: layout.strides, targetStrides, to });
  };
  await block([...layout.shape], 0, 0);
  return result;
}

/** Copies a block: a loop over the innermost dimension inside a counter over the outer ones. */
function copyBlock(
  from: Uint16Array | Uint32Array,
  to: Uint16Array | Uint32Array,
  block: {
    shape: readonly number[];
    strides: readonly number[];
    targetStrides: readonly number[];
    to: number;
  },
): void {
  const { shape, strides, targetStrides } = block;
  const inner = shape.length - 1;
  const index = new Array<number>(shape.length).fill(0);
  let source = 0;
  let target = block.to;
  while (true) {
    for (let i = 0; i < shape[inner]; i++) {
      to[target + i * targetStrides[inner]] = from[source + i * strides[inner]];
    }
    let d = inner - 1;
    while (d >= 0 && index[d] === shape[d] - 1) {
      source -= index[d] * strides[d];
      target -= index[d] * targetStrides[d];
      index[d] = 0;
      d--;
    }
    if (d < 0) return;
    index[d]++;
    source += strides[d];
    target += targetStrides[d];
  }
}
